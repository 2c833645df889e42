// The random words and the shuffled position of each counter, for a test that compares them bit for bit.
@group(0) @binding(0) var<storage, read> counters: array<u32>;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;

@compute @workgroup_size(16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if thread > 0u {
        return;
    }
    let at = 8u * group.x;
    let counter = vec4(counters[at], counters[at + 1u], counters[at + 2u], counters[at + 3u]);
    let key = vec2(counters[at + 4u], counters[at + 5u]);
    let result = philox(counter, key);
    for (var i = 0u; i < 4u; i++) {
        words[5u * group.x + i] = result[i];
    }
    words[5u * group.x + 4u] = shuffled(counters[at + 6u], counters[at + 7u], key, counter.y);
}
