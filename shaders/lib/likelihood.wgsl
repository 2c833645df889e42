// One pixel under p(x | z):
//     gaussian:   x_hat = l             loss = (x - l)^2 / (2 sigma^2)
//     bernoulli:  x_hat = sigmoid(l)    loss = max(l, 0) - x l + ln(1 + e^-|l|)

override BERNOULLI: bool;

struct Pixel {
    // x_hat - x
    error: f32,
    loss: f32,
}

fn pixel(l: f32, x: f32, inverse_variance: f32) -> Pixel {
    let tail = exp(-abs(l));
    let mean = select(l, select(tail, 1.0, l >= 0.0) / (1.0 + tail), BERNOULLI);
    let error = mean - x;
    let cross_entropy = max(l, 0.0) - x * l + log(1.0 + tail);
    return Pixel(error, select(0.5 * inverse_variance * error * error, cross_entropy, BERNOULLI));
}
