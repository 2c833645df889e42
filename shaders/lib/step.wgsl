// What changes from step to step; `Step` in src/program.rs.
struct Step {
    seed: vec2<u32>,
    number: u32,
    slot: u32,
    epoch: u32,
    first: u32,
    learning_rate: f32,
    correction1: f32,
    correction2: f32,
    kl_weight: f32,
    capacity: f32,
    extra_weight: f32,
    rows_at: u32,
    columns_at: u32,
}
