// Adam's update of one number (Kingma and Ba, "Adam", 2015, algorithm 1), of theta, m and v of the kernel:
//     m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
//     theta -= learning_rate (m c1) / (sqrt(v c2) + epsilon)

fn update(at: u32, g: f32) {
    let mean = params.beta1 * m[at] + (1.0 - params.beta1) * g;
    let square = params.beta2 * v[at] + (1.0 - params.beta2) * (g * g);
    m[at] = mean;
    v[at] = square;
    theta[at] -= step.learning_rate * (mean * step.correction1) / (sqrt(square * step.correction2) + params.epsilon);
}
