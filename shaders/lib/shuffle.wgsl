// A keyed bijection of 0..n, the shuffled order of the data: `shuffled` in src/random.rs says the same.

fn shuffled(i: u32, n: u32, key: vec2<u32>, epoch: u32) -> u32 {
    let bits = max(32u - countLeadingZeros(n - 1u), 2u);
    let low_bits = bits / 2u;
    let low_mask = (1u << low_bits) - 1u;
    let high_mask = (1u << (bits - low_bits)) - 1u;
    var value = i;
    // Every cycle of a bijection comes back to where it began, which is below n.
    for (var turn = 0u; turn < 0xFFFFFFFFu; turn++) {
        var low = value & low_mask;
        var high = value >> low_bits;
        for (var round = 0u; round < 4u; round++) {
            high ^= mix_bits(low, key.x ^ epoch, 2u * round) & high_mask;
            low ^= mix_bits(high, key.y ^ epoch, 2u * round + 1u) & low_mask;
        }
        value = (high << low_bits) | low;
        if value < n {
            break;
        }
    }
    return value;
}

fn mix_bits(value: u32, key: u32, round: u32) -> u32 {
    var h = (value + 0x9E3779B9u * (round + 1u)) ^ key;
    h ^= h >> 16u;
    h *= 0x7FEB352Du;
    h ^= h >> 15u;
    h *= 0x846CA68Bu;
    return h ^ (h >> 16u);
}
