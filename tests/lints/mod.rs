//! What a shader must not do, and naga does not object to: rules checked on its intermediate representation.
//!
//! Each rule has tests on small good and bad shaders below.

use naga::{
    AddressSpace, BinaryOperator, Binding, Block, BuiltIn, Expression, Function, Handle, Literal,
    LocalVariable, Module, ScalarKind, Statement, TypeInner,
};

/// A rule: gives what is wrong with a valid module, one message per finding.
pub(crate) type Lint = fn(&Module) -> Vec<String>;

/// All rules, by name.
pub(crate) const ALL: [(&str, Lint); 4] = [
    ("divergent barrier", divergent_barriers),
    ("return before barrier", returns_before_barrier),
    ("atomics", atomics),
    ("endless loop", endless_loops),
];

/// A barrier must be reached by all threads of a workgroup or by none. No condition around it, in its
/// function or in the callers, may differ from thread to thread; nor may a loop around it be left by some
/// threads only.
pub(crate) fn divergent_barriers(module: &Module) -> Vec<String> {
    let mut found = Vec::new();
    for entry in &module.entry_points {
        let differs = entry.function.arguments.iter().map(|a| !same_for_all_threads(a.binding.as_ref()));
        let flow = Flow::new(module, &entry.name, &entry.function, differs.collect());
        found.extend(flow.finish().divergent_barriers);
    }
    found.sort();
    found.dedup();
    found
}

/// No function returns early when a barrier comes later in it: threads that leave do not reach the barrier.
/// The rest of the function belongs under an `if`, or the barrier into the caller.
pub(crate) fn returns_before_barrier(module: &Module) -> Vec<String> {
    functions(module)
        .filter(|(_, function)| returns_then_barrier(module, &function.body, false))
        .map(|(name, _)| format!("`{name}` returns before a barrier"))
        .collect()
}

/// No atomic floats: the order in which threads get there decides the result of a sum, so no two runs agree.
/// Whole numbers add up to the same in any order.
pub(crate) fn atomics(module: &Module) -> Vec<String> {
    let atomic = |inner: &TypeInner| matches!(inner, TypeInner::Atomic(s) if s.kind == ScalarKind::Float);
    let any = module.types.iter().any(|(_, ty)| atomic(&ty.inner));
    any.then(|| "the shader uses atomic floats".to_owned()).into_iter().collect()
}

/// Every loop counts: a local variable, which nothing else changes, goes up below a limit, or down by 1 above one, or is
/// divided above one. Then the loop ends, and drivers may take that for granted: the engine leaves out wgpu's guard.
/// (Limits and steps upwards are sizes: far from the end of 32 bits, and no step is 0.)
pub(crate) fn endless_loops(module: &Module) -> Vec<String> {
    functions(module)
        .filter(|(_, function)| has_endless_loop(function, &function.body))
        .map(|(name, _)| format!("`{name}` has a loop that counts nothing"))
        .collect()
}

/// All functions with their names, entry points too.
fn functions(module: &Module) -> impl Iterator<Item = (&str, &Function)> {
    let named = module.functions.iter().map(|(_, f)| (f.name.as_deref().unwrap_or("?"), f));
    named.chain(module.entry_points.iter().map(|e| (e.name.as_str(), &e.function)))
}

/// The blocks inside a statement.
fn blocks(statement: &Statement) -> Vec<&Block> {
    match statement {
        Statement::Block(block) => vec![block],
        Statement::If { accept, reject, .. } => vec![accept, reject],
        Statement::Switch { cases, .. } => cases.iter().map(|case| &case.body).collect(),
        Statement::Loop { body, continuing, .. } => vec![body, continuing],
        _ => Vec::new(),
    }
}

/// Whether a statement waits for other threads: on its own, in a block of it, or in a function that it calls.
fn has_barrier(module: &Module, statement: &Statement) -> bool {
    let within = |block: &Block| block.iter().any(|inner| has_barrier(module, inner));
    match statement {
        Statement::ControlBarrier(_) | Statement::WorkGroupUniformLoad { .. } => true,
        Statement::Call { function, .. } => within(&module.functions[*function].body),
        _ => blocks(statement).into_iter().any(within),
    }
}

/// Whether a block has a return that a barrier follows; `barrier_follows` says that one follows the block.
///
/// naga ends all branches at the end of a function with a return: what matters is only what comes after.
fn returns_then_barrier(module: &Module, block: &Block, mut barrier_follows: bool) -> bool {
    for statement in block.iter().rev() {
        let barrier_within = has_barrier(module, statement);
        // What follows a statement in a loop is also the loop's next round.
        let again = matches!(statement, Statement::Loop { .. }) && barrier_within;
        let inner = |block| returns_then_barrier(module, block, barrier_follows || again);
        if blocks(statement).into_iter().any(inner)
            || matches!(statement, Statement::Return { .. }) && barrier_follows
        {
            return true;
        }
        barrier_follows |= barrier_within;
    }
    false
}

fn has_endless_loop(function: &Function, block: &Block) -> bool {
    block.iter().any(|statement| {
        let endless = match statement {
            Statement::Loop { body, continuing, break_if: None } => !counts(function, body, continuing),
            // Not what `for` becomes.
            Statement::Loop { .. } => true,
            _ => false,
        };
        endless || blocks(statement).into_iter().any(|inner| has_endless_loop(function, inner))
    })
}

/// Whether the loop is left where a variable, which only `continuing` changes, is beyond some limit.
fn counts(function: &Function, body: &Block, continuing: &Block) -> bool {
    let expression = |handle: Handle<Expression>| &function.expressions[handle];
    let loaded = |handle: Handle<Expression>| match *expression(handle) {
        Expression::Load { pointer } => local(function, pointer),
        _ => None,
    };
    let number = |handle: Handle<Expression>| match *expression(handle) {
        Expression::Literal(Literal::U32(number)) => Some(number),
        _ => None,
    };
    continuing.iter().any(|statement| {
        let Statement::Store { pointer, value } = *statement else { return false };
        let (Some(counter), Expression::Binary { op, left, right }) =
            (local(function, pointer), expression(value))
        else {
            return false;
        };
        let is_counter = |handle: Handle<Expression>| loaded(handle) == Some(counter);
        // The comparison that holds in the loop, and the least limit that ends it.
        let (kept, least) = match (op, number(*right), expression(*left)) {
            (BinaryOperator::Add, ..) if is_counter(*left) => (BinaryOperator::Less, None),
            (BinaryOperator::Subtract, Some(1), _) if is_counter(*left) => (BinaryOperator::Greater, None),
            (BinaryOperator::Divide, Some(2..), _) if is_counter(*left) => (BinaryOperator::Greater, None),
            // (count + 1) / 2 is less than count where that is above 1.
            (
                BinaryOperator::Divide,
                Some(2..),
                Expression::Binary { op: BinaryOperator::Add, left, right },
            ) if is_counter(*left) && number(*right) == Some(1) => (BinaryOperator::Greater, Some(1)),
            _ => return false,
        };
        let compares = |handle: Handle<Expression>| match *expression(handle) {
            Expression::Binary { op, left, right } => {
                let far = least.is_none_or(|least| number(right).is_some_and(|limit| limit >= least));
                op == kept && is_counter(left) && far
            }
            _ => false,
        };
        !stores(function, body, counter) && ends_by(function, body, &compares)
    })
}

/// Whether a block begins with the test of a `for`: left by `break` unless a condition holds, alone or joined to others
/// by `&&`.
fn ends_by(function: &Function, body: &Block, condition: &dyn Fn(Handle<Expression>) -> bool) -> bool {
    // What `a && b` becomes: if a { both = b; } else { both = false; }
    let mut both = None;
    for statement in body {
        match statement {
            Statement::Emit(_) => {}
            Statement::Block(inner) if both.is_none() => return ends_by(function, inner, condition),
            Statement::If { condition: tested, accept, reject } => {
                let joined = match function.expressions[*tested] {
                    Expression::Load { pointer } => both.is_some() && local(function, pointer) == both,
                    _ => false,
                };
                if !(joined || condition(*tested)) {
                    return false;
                }
                if accept.is_empty() && matches!(reject.first(), Some(Statement::Break)) {
                    return true;
                }
                let [Statement::Store { pointer, value }] = reject[..] else { return false };
                if !matches!(function.expressions[value], Expression::Literal(Literal::Bool(false))) {
                    return false;
                }
                both = local(function, pointer);
            }
            _ => return false,
        }
    }
    false
}

/// The local variable that an expression points to.
fn local(function: &Function, pointer: Handle<Expression>) -> Option<Handle<LocalVariable>> {
    match function.expressions[pointer] {
        Expression::LocalVariable(variable) => Some(variable),
        _ => None,
    }
}

/// Whether a block changes a variable, or gives it to a function that may.
fn stores(function: &Function, block: &Block, variable: Handle<LocalVariable>) -> bool {
    block.iter().any(|statement| match statement {
        Statement::Store { pointer, .. } => local(function, *pointer) == Some(variable),
        Statement::Call { arguments, .. } => {
            arguments.iter().any(|argument| local(function, *argument) == Some(variable))
        }
        _ => blocks(statement).into_iter().any(|inner| stores(function, inner, variable)),
    })
}

/// Whether an argument of an entry point has the same value in all threads of a workgroup.
fn same_for_all_threads(binding: Option<&Binding>) -> bool {
    use BuiltIn::{NumWorkGroups, WorkGroupId, WorkGroupSize};
    matches!(binding, Some(Binding::BuiltIn(WorkGroupId | NumWorkGroups | WorkGroupSize)))
}

/// Which values of one function may differ between the threads of a workgroup.
///
/// Uniforms, overrides and the workgroup's number are the same for all. The thread's number differs, and so
/// does all that is loaded from storage, workgroup or private memory. Whatever is not known to be the same
/// counts as different. naga has an analysis of this kind, but to it every local variable may differ, loop
/// counters too.
struct Flow<'a> {
    module: &'a Module,
    name: &'a str,
    function: &'a Function,
    arguments: Vec<bool>,
    expressions: Vec<bool>,
    locals: Vec<bool>,
    findings: Findings,
}

/// What [`Flow`] says about a function.
#[derive(Default)]
struct Findings {
    result_differs: bool,
    divergent_barriers: Vec<String>,
}

impl<'a> Flow<'a> {
    /// `arguments`: which of the function's arguments differ.
    fn new(module: &'a Module, name: &'a str, function: &'a Function, arguments: Vec<bool>) -> Self {
        let expressions = vec![false; function.expressions.len()];
        let locals = vec![false; function.local_variables.len()];
        Self { module, name, function, arguments, expressions, locals, findings: Findings::default() }
    }

    /// Follows the function until nothing more is found to differ: a loop may hand a difference to its start.
    fn finish(mut self) -> Findings {
        loop {
            let before = (self.expressions.clone(), self.locals.clone());
            self.findings = Findings::default();
            for (handle, expression) in self.function.expressions.iter() {
                self.expressions[handle.index()] |= self.expression(expression);
            }
            self.block(&self.function.body, false);
            if before == (self.expressions.clone(), self.locals.clone()) {
                return self.findings;
            }
        }
    }

    fn differs(&self, expression: Handle<Expression>) -> bool {
        self.expressions[expression.index()]
    }

    /// Whether the value of an expression differs; operands come before it in the arena.
    fn expression(&self, expression: &Expression) -> bool {
        use Expression as E;
        let any = |operands: &[Handle<Expression>]| operands.iter().any(|&e| self.differs(e));
        match expression {
            E::Literal(_) | E::Constant(_) | E::Override(_) | E::ZeroValue(_) | E::ArrayLength(_) => false,
            // The address; what is there is the business of the load.
            E::GlobalVariable(_) | E::LocalVariable(_) => false,
            // Set by the call.
            E::CallResult(_) => false,
            E::WorkGroupUniformLoadResult { .. } => false,
            E::FunctionArgument(i) => self.arguments[*i as usize],
            E::Load { pointer } => self.differs(*pointer) || self.memory_differs(*pointer),
            E::Compose { components, .. } => any(components),
            E::Access { base, index } => any(&[*base, *index]),
            E::AccessIndex { base: operand, .. }
            | E::Splat { value: operand, .. }
            | E::Swizzle { vector: operand, .. }
            | E::Unary { expr: operand, .. }
            | E::As { expr: operand, .. }
            | E::Relational { argument: operand, .. } => any(&[*operand]),
            E::Binary { left, right, .. } => any(&[*left, *right]),
            E::Select { condition, accept, reject } => any(&[*condition, *accept, *reject]),
            E::Math { arg, arg1, arg2, arg3, .. } => {
                any(&[*arg]) || [arg1, arg2, arg3].into_iter().flatten().any(|&e| self.differs(e))
            }
            _ => true,
        }
    }

    /// Whether memory that all threads read at the same address may differ.
    fn memory_differs(&self, pointer: Handle<Expression>) -> bool {
        match self.function.expressions[self.root(pointer)] {
            Expression::LocalVariable(local) => self.locals[local.index()],
            Expression::GlobalVariable(global) => {
                self.module.global_variables[global].space != AddressSpace::Uniform
            }
            _ => true,
        }
    }

    /// What a pointer points into.
    fn root(&self, pointer: Handle<Expression>) -> Handle<Expression> {
        match self.function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.root(base),
            _ => pointer,
        }
    }

    /// From here on, a local variable that the pointer points into counts as different.
    fn taint(&mut self, pointer: Handle<Expression>) {
        if let Expression::LocalVariable(local) = self.function.expressions[self.root(pointer)] {
            self.locals[local.index()] = true;
        }
    }

    /// Walks a block; `divergent` says that only some threads may get there.
    fn block(&mut self, block: &Block, divergent: bool) {
        for statement in block.iter() {
            if divergent && has_barrier(self.module, statement) && blocks(statement).is_empty() {
                self.findings
                    .divergent_barriers
                    .push(format!("`{}`: only some threads reach a barrier", self.name));
            }
            match statement {
                Statement::Store { pointer, value } => {
                    if divergent || self.differs(*pointer) || self.differs(*value) {
                        self.taint(*pointer);
                    }
                }
                Statement::Return { value } => {
                    self.findings.result_differs |= divergent || value.is_some_and(|v| self.differs(v));
                }
                Statement::Call { function, arguments, result } => self.call(*function, arguments, *result),
                _ => {
                    let divergent = divergent || self.splits(statement);
                    blocks(statement).into_iter().for_each(|inner| self.block(inner, divergent));
                }
            }
        }
    }

    fn call(
        &mut self,
        callee: Handle<Function>,
        arguments: &[Handle<Expression>],
        result: Option<Handle<Expression>>,
    ) {
        let function = &self.module.functions[callee];
        let name = function.name.as_deref().unwrap_or("?");
        let differ = arguments.iter().map(|&argument| self.differs(argument)).collect();
        let findings = Flow::new(self.module, name, function, differ).finish();
        self.findings.divergent_barriers.extend(findings.divergent_barriers);
        if let Some(result) = result {
            self.expressions[result.index()] |= findings.result_differs;
        }
        // A function may write anything through a pointer that it is given.
        arguments.iter().for_each(|&argument| self.taint(argument));
    }

    /// Whether a statement sends the threads that reach it together along different ways.
    fn splits(&self, statement: &Statement) -> bool {
        match statement {
            Statement::If { condition, .. } => self.differs(*condition),
            Statement::Switch { selector, cases } => {
                self.differs(*selector) || cases.iter().any(|case| self.some_leave(&case.body, false, false))
            }
            Statement::Loop { body, break_if, .. } => {
                break_if.is_some_and(|condition| self.differs(condition))
                    || self.some_leave(body, false, false)
            }
            _ => false,
        }
    }

    /// Whether only some threads break out of a block of a loop or switch, skip the rest of it, or return.
    /// `nested`: in a loop within, where breaks are that loop's own.
    fn some_leave(&self, block: &Block, divergent: bool, nested: bool) -> bool {
        block.iter().any(|statement| match statement {
            Statement::Break | Statement::Continue => divergent && !nested,
            Statement::Return { .. } => divergent,
            _ => {
                let divergent = divergent || self.splits(statement);
                let nested = nested || matches!(statement, Statement::Loop { .. });
                blocks(statement).into_iter().any(|inner| self.some_leave(inner, divergent, nested))
            }
        })
    }
}

/// The module of a snippet: `body` is that of the entry point, `functions` come before it.
fn module(functions: &str, body: &str) -> Module {
    let source = format!(
        "struct Params {{ n: u32 }}
        override FLAG: bool = true;
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read_write> data: array<u32>;
        var<workgroup> shared_words: array<u32, 64>;
        {functions}
        @compute @workgroup_size(64)
        fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {{
            {body}
        }}"
    );
    let module =
        naga::front::wgsl::parse_str(&source).unwrap_or_else(|e| panic!("{}", e.emit_to_string(&source)));
    naga::valid::Validator::new(
        naga::valid::ValidationFlags::all(),
        naga::valid::Capabilities::SHADER_FLOAT32_ATOMIC,
    )
    .validate(&module)
    .unwrap_or_else(|e| panic!("{}", e.emit_to_string(&source)));
    module
}

/// Asserts that `lint` finds something in every snippet of `bad` and nothing in those of `good`; a snippet is
/// the functions and the body of the entry point.
fn expect(lint: Lint, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    for (functions, body) in bad {
        assert!(!lint(&module(functions, body)).is_empty(), "not found in: {functions} {body}");
    }
    for (functions, body) in good {
        let found = lint(&module(functions, body));
        assert!(found.is_empty(), "{found:?} in a good shader: {functions} {body}");
    }
}

#[test]
fn divergent_barriers_are_found() {
    let wait = "fn wait() { workgroupBarrier(); }";
    let wait_if = "fn wait_if(i: u32) { if i < 3u { workgroupBarrier(); } }";
    let rounds = "fn rounds(i: u32) -> u32 { var n = 0u; while n < i { n++; } return n; }";
    let put = "fn put(p: ptr<function, u32>, to: u32) { *p = to; }";
    let bad = [
        ("", "if thread < 3u { workgroupBarrier(); }"),
        ("", "if thread < 3u { data[0] = 1u; } else { workgroupBarrier(); }"),
        ("", "if thread < 3u { storageBarrier(); }"),
        ("", "if thread < 3u { data[0] = workgroupUniformLoad(&shared_words[0]); }"),
        ("", "if data[0] < 3u { workgroupBarrier(); }"),
        ("", "if shared_words[0] < 3u { workgroupBarrier(); }"),
        ("", "if params.n > 1u { if group.x + thread < 3u { workgroupBarrier(); } }"),
        ("", "switch thread { case 0u: { workgroupBarrier(); } default: {} }"),
        ("", "switch params.n { case 0u: { if thread < 3u { break; } workgroupBarrier(); } default: {} }"),
        ("", "for (var i = thread; i < params.n; i += 64u) { workgroupBarrier(); }"),
        ("", "for (var i = 0u; i < thread; i++) { workgroupBarrier(); }"),
        ("", "for (var i = 0u; i < params.n; i++) { if i > thread { continue; } workgroupBarrier(); }"),
        ("", "loop { workgroupBarrier(); if thread < 3u { break; } }"),
        ("", "var i = 0u; loop { workgroupBarrier(); continuing { i++; break if i > thread; } }"),
        ("", "loop { loop { if thread < 3u { break; } if FLAG { return; } } workgroupBarrier(); break; }"),
        // Through variables: assigned, assigned under a condition, at another index, in a later round.
        ("", "var i = 0u; i = thread; if i < 3u { workgroupBarrier(); }"),
        ("", "var i = 0u; if thread < 3u { i = 1u; } if i == 1u { workgroupBarrier(); }"),
        ("", "var a = array(1u, 2u); a[thread & 1u] = 3u; if a[0] == 3u { workgroupBarrier(); }"),
        ("", "let a = array(1u, 2u); var b = a; if b[thread & 1u] == 1u { workgroupBarrier(); }"),
        (
            "",
            "var a = 0u; var b = 0u;
            for (var i = 0u; i < 3u; i++) { if b > 1u { workgroupBarrier(); } b = a; a = thread; }",
        ),
        // The number of rounds differs, and so does what was counted.
        ("", "var n = 0u; while n < thread { n++; } if n > 3u { workgroupBarrier(); }"),
        // Through functions.
        (wait, "if thread < 3u { wait(); }"),
        (wait_if, "wait_if(thread);"),
        (rounds, "if rounds(thread) > 3u { workgroupBarrier(); }"),
        (put, "var i = 0u; put(&i, thread); if i > 3u { workgroupBarrier(); }"),
    ];
    let good = [
        ("", "workgroupBarrier(); if thread < 3u { data[0] = 1u; }"),
        ("", "if params.n > 3u && group.x == 0u { workgroupBarrier(); }"),
        ("", "if FLAG { workgroupBarrier(); }"),
        ("", "if workgroupUniformLoad(&shared_words[0]) > 3u { workgroupBarrier(); }"),
        ("", "switch params.n { case 0u: { workgroupBarrier(); } default: {} }"),
        ("", "for (var i = 0u; i < params.n; i++) { workgroupBarrier(); }"),
        (
            "",
            "for (var half = 32u; half > 0u; half /= 2u) {
                workgroupBarrier();
                if thread < half { shared_words[thread] += shared_words[thread + half]; }
            }",
        ),
        (
            "",
            "for (var i = 0u; i < params.n; i++) {
                for (var j = thread; j < 64u; j += 64u) { shared_words[j] = j; }
                workgroupBarrier();
            }",
        ),
        (wait, "if params.n > 3u { wait(); }"),
        (wait_if, "wait_if(params.n);"),
        (rounds, "let n = rounds(thread); if rounds(group.x) > 3u { workgroupBarrier(); }"),
    ];
    expect(divergent_barriers, &bad, &good);
}

#[test]
fn returns_before_barriers_are_found() {
    let wait = "fn wait() { workgroupBarrier(); }";
    let bad = [
        ("", "if thread > 3u { return; } workgroupBarrier();"),
        ("", "if thread > 3u { if group.x > 1u { return; } } data[0] = 1u; workgroupBarrier();"),
        ("", "switch thread { case 1u: { return; } default: {} } workgroupBarrier();"),
        ("", "if thread > 3u { return; } if params.n > 1u { workgroupBarrier(); }"),
        ("", "for (var i = 0u; i < params.n; i++) { workgroupBarrier(); if i > thread { return; } }"),
        ("", "for (var i = 0u; i < params.n; i++) { if i > thread { return; } } workgroupBarrier();"),
        (wait, "if thread > 3u { return; } wait();"),
        ("fn early(i: u32) { if i > 3u { return; } workgroupBarrier(); }", "early(thread);"),
    ];
    let good = [
        ("", "workgroupBarrier(); if thread > 3u { return; } data[thread] = 1u;"),
        ("", "workgroupBarrier(); if thread == 0u { data[0] = 1u; }"),
        ("", "if params.n > 3u { workgroupBarrier(); } else { data[0] = 1u; }"),
        ("", "if thread > 3u { return; } data[thread] = 1u;"),
        (
            "fn cut(i: u32) -> u32 { if i > 3u { return 3u; } return i; }",
            "let i = cut(thread); workgroupBarrier();",
        ),
    ];
    expect(returns_before_barrier, &bad, &good);
}

#[test]
fn atomics_are_found() {
    let sum = "@group(0) @binding(2) var<storage, read_write> sum: atomic<f32>;";
    let counter = "var<workgroup> counter: atomic<u32>;";
    let good = [(counter, "atomicAdd(&counter, 1u);"), ("", "data[thread] += 1u;")];
    expect(atomics, &[(sum, "atomicAdd(&sum, 1.0);")], &good);
}

#[test]
fn endless_loops_are_found() {
    let bad = [
        ("", "loop { data[0] = 1u; }"),
        ("", "loop { for (var i = 0u; i < 3u; i++) { data[i] = 1u; } }"),
        ("", "loop { switch thread { case 1u: { break; } default: {} } }"),
        ("", "if thread > 1u { loop { data[0] = 1u; } }"),
        ("fn spin() { loop { data[0] = 1u; } }", "spin();"),
        ("", "loop { if thread > 1u { break; } }"),
        ("", "while data[0] > 1u { data[0] -= 1u; }"),
        ("", "for (var i = 0u; i < 3u; i++) { data[i] = 1u; i = 0u; }"),
        ("", "for (var i = 0u; i < 3u; i--) { data[i] = 1u; }"),
        ("", "for (var i = 0u; i >= 0u; i++) { data[i] = 1u; }"),
        ("", "for (var i = 0u; data[0] < 3u; i++) { data[i] = 1u; }"),
        ("", "for (var i = 0u; i < 3u || data[0] > 0u; i++) { data[i] = 1u; }"),
        ("", "for (var i = 3u; i >= 0u; i--) { data[i] = 1u; }"),
        ("", "for (var i = 3u; i > 0u; i -= 2u) { data[i] = 1u; }"),
        ("", "for (var i = 8u; i > 0u; i /= 1u) { data[i] = 1u; }"),
        ("", "for (var i = 8u; i > 0u; i = (i + 1u) / 2u) { data[i] = 1u; }"),
        ("", "for (var i = 0u; ; i++) { if i < 3u { data[i] = 1u; } if data[0] > 1u {} else { break; } }"),
        ("fn back(i: ptr<function, u32>) { *i = 0u; }", "for (var i = 0u; i < 3u; i++) { back(&i); }"),
    ];
    let good = [
        ("", "for (var i = 0u; i < 3u; i++) { data[i] = 1u; }"),
        ("", "for (var i = thread; i < 3u && data[i] > 0u; i += 2u) { data[i] = 1u; }"),
        ("", "for (var i = 0u; i < 3u && data[i] > 0u && data[0] > 1u; i++) { data[i] = 1u; }"),
        ("", "for (var i = 8u; i > thread; i /= 2u) { data[i] = 1u; }"),
        ("", "for (var i = 7u; i > 2u; i--) { if data[i] == 1u { break; } }"),
        (
            "",
            "for (var i = 8u; i > 1u; i = (i + 1u) / 2u) { for (var j = 0u; j < i; j++) { data[j] = 1u; } }",
        ),
    ];
    expect(endless_loops, &bad, &good);
}
