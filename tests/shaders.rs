//! Every shader, without a GPU: that it is valid, says the same as its Rust side, keeps to WebGPU's default
//! limits, can be translated for Vulkan, Metal and DX12, and breaks none of the rules in `lints`.
//!
//! naga, the compiler inside wgpu, does the reading. Each kernel is looked at once for every set of values
//! that the variants of its cases give to `override` constants, since these decide sizes.

mod lints;

use elbo::kernel::ALL;
use elbo::program::{Kernel, MOST_BUFFERS, OneVariant, STEP_FIELDS, Spec, Step};
use naga::back::{PipelineConstants, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, ShaderStage, StorageAccess, StructMember, TypeInner};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Size of a row of the engine's uniform buffers.
const MOST_UNIFORM_BYTES: u32 = 256;

/// A workgroup of a multiple of this many threads fills the SIMD units of most GPUs.
const THREADS_UNIT: u32 = 16;

/// A kernel with one set of override values.
struct Variant {
    spec: &'static Spec,
    overrides: Vec<(&'static str, f64)>,
    /// The cases with these values.
    cases: Vec<Arc<dyn Kernel>>,
    /// The shader as written.
    module: Arc<Module>,
    info: Arc<ModuleInfo>,
}

/// A kernel and its variants; none where the shader is not valid.
type Variants = (&'static Spec, Option<Vec<Variant>>);

/// Those of all kernels.
static VARIANTS: LazyLock<Vec<Variants>> =
    LazyLock::new(|| ALL.iter().map(|spec| (*spec, variants(spec))).collect());

/// A shader with the values of its overrides put in.
struct Resolved {
    module: Module,
    info: ModuleInfo,
}

/// What is wrong; each check collects all it finds.
type Findings = Vec<String>;

/// Asserts that `check` finds nothing in any kernel with any of its override values.
fn each_variant(check: impl Fn(&Variant) -> Findings) {
    let mut report = String::new();
    for (spec, variants) in VARIANTS.iter() {
        let Some(variants) = variants else {
            let _ = write!(report, "\nkernel `{}` is not valid: see `shaders_are_valid`", spec.name);
            continue;
        };
        for variant in variants {
            for finding in check(variant) {
                let _ = write!(report, "\nkernel `{}` with {:?}: {finding}", spec.name, variant.overrides);
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

/// The variants of a kernel, unless its shader is not valid.
fn variants(spec: &'static Spec) -> Option<Vec<Variant>> {
    let mut sets = BTreeMap::<String, (Vec<_>, Vec<Arc<dyn Kernel>>)>::new();
    for one in (spec.cases)().iter().flat_map(|case| OneVariant::all(&case.kernel)) {
        let overrides = (&one as &dyn Kernel).shader(&one.variant).0.0;
        let (_, cases) = sets.entry(format!("{overrides:?}")).or_insert((overrides, Vec::new()));
        cases.push(Arc::new(one));
    }
    let (module, info) = parse(spec).ok()?;
    let (module, info) = (Arc::new(module), Arc::new(info));
    let variant = |(overrides, cases)| {
        let (module, info) = (Arc::clone(&module), Arc::clone(&info));
        Variant { spec, overrides, cases, module, info }
    };
    Some(sets.into_values().map(variant).collect())
}

/// Parses and validates for a device without any optional feature; `main` is the only entry point.
fn parse(spec: &Spec) -> Result<(Module, ModuleInfo), String> {
    let path = format!("shaders/{}.wgsl", spec.name);
    let module = naga::front::wgsl::parse_str(spec.source)
        .map_err(|e| e.emit_to_string_with_path(spec.source, &path))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .map_err(|e| e.emit_to_string_with_path(spec.source, &path))?;
    let entries: Vec<_> = module.entry_points.iter().map(|e| (e.stage, e.name.as_str())).collect();
    let expected = [(ShaderStage::Compute, "main")];
    if entries != expected {
        return Err(format!("{path}: entry points {entries:?}, expected {expected:?}"));
    }
    Ok((module, info))
}

impl Variant {
    fn resolve(&self) -> Result<Resolved, String> {
        let constants: PipelineConstants =
            self.overrides.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        let (module, info) =
            process_overrides(&self.module, &self.info, Some((ShaderStage::Compute, "main")), &constants)
                .map_err(|e| format!("these overrides do not fit the shader: {e}"))?;
        Ok(Resolved { module: module.into_owned(), info: info.into_owned() })
    }

    /// The struct behind the uniform `name`: its members and its size in bytes.
    fn uniform(&self, name: &str) -> Option<(&[StructMember], u32)> {
        let named =
            |g: &naga::GlobalVariable| g.name.as_deref() == Some(name) && g.space == AddressSpace::Uniform;
        let (_, global) = self.module.global_variables.iter().find(|(_, g)| named(g))?;
        match &self.module.types[global.ty].inner {
            TypeInner::Struct { members, span } => Some((members, *span)),
            _ => None,
        }
    }

    /// Whether a type is a 32-bit scalar of one of `kinds`.
    fn is_word(&self, ty: naga::Handle<naga::Type>, kinds: &[ScalarKind]) -> bool {
        matches!(self.module.types[ty].inner, TypeInner::Scalar(s) if s.width == 4 && kinds.contains(&s.kind))
    }
}

/// Checks something about the shader with its overrides put in.
fn each_resolved(check: impl Fn(&Variant, &Resolved) -> Findings) {
    each_variant(|variant| match variant.resolve() {
        Ok(resolved) => check(variant, &resolved),
        Err(problem) => vec![problem],
    });
}

#[test]
fn shaders_are_valid() {
    let mut problems: Findings = ALL.iter().filter_map(|spec| parse(spec).err()).collect();
    for spec in ALL {
        problems
            .extend(plain_source(spec).and_then(|source| parse(&Spec { source, ..(*spec).clone() }).err()));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The buffers of the shader are those of the spec, in name, element and direction, and all are used.
#[test]
fn bindings_match_the_spec() {
    each_variant(|v| {
        let mut findings = Findings::new();
        let mut shader_names = Vec::new();
        let uses = v.info.get_entry_point(0);
        for (handle, global) in v.module.global_variables.iter() {
            let Some(binding) = &global.binding else { continue };
            let name = global.name.as_deref().unwrap_or("?");
            if binding.group != 0 {
                findings.push(format!("`{name}` is in group {}, expected 0", binding.group));
            }
            let expected_use = match global.space {
                AddressSpace::Uniform if ["params", "step"].contains(&name) => GlobalUse::READ,
                AddressSpace::Storage { access } => {
                    shader_names.push(name);
                    findings.extend(storage_problem(v, name, access, global.ty));
                    if access.contains(StorageAccess::STORE) { GlobalUse::WRITE } else { GlobalUse::READ }
                }
                space => {
                    findings.push(format!("`{name}` is in {space:?}, which the engine does not bind"));
                    continue;
                }
            };
            if !uses[handle].contains(expected_use) {
                findings
                    .push(format!("`main` does not use `{name}` as it should: expected {expected_use:?}"));
            }
        }
        let mut spec_names: Vec<_> = v.spec.reads.iter().chain(v.spec.writes).copied().collect();
        shader_names.sort_unstable();
        spec_names.sort_unstable();
        if shader_names != spec_names {
            findings.push(format!("storage buffers {shader_names:?}, but the spec has {spec_names:?}"));
        }
        findings
    });
}

/// What is wrong with the declaration of a storage buffer that the spec knows.
fn storage_problem(
    v: &Variant,
    name: &str,
    access: StorageAccess,
    ty: naga::Handle<naga::Type>,
) -> Option<String> {
    let expected = match (v.spec.reads.contains(&name), v.spec.writes.contains(&name)) {
        (true, false) => StorageAccess::LOAD,
        (false, true) => StorageAccess::LOAD | StorageAccess::STORE,
        _ => return Some(format!("`{name}` is not in exactly one of reads and writes")),
    };
    let element = if v.spec.words.contains(&name) { ScalarKind::Uint } else { ScalarKind::Float };
    let right = match v.module.types[ty].inner {
        // Buffers in groups of points are read four words at a time.
        TypeInner::Array { base, size: naga::ArraySize::Dynamic, .. } => match v.module.types[base].inner {
            TypeInner::Vector { size: naga::VectorSize::Quad, scalar } => {
                (scalar.kind, scalar.width) == (element, 4)
            }
            _ => v.is_word(base, &[element]),
        },
        _ => false,
    };
    if access != expected {
        return Some(format!("`{name}` is declared {access:?}, expected {expected:?}"));
    }
    (!right).then(|| format!("`{name}` is not a runtime-sized array of 32-bit {element:?}"))
}

/// The other lists of the spec name buffers of it.
#[test]
fn specs_are_consistent() {
    for spec in ALL {
        let name = spec.name;
        assert!(!spec.formula.trim().is_empty(), "kernel `{name}` has no formula");
        assert!(
            spec.reads.len().max(spec.writes.len()) <= MOST_BUFFERS,
            "kernel `{name}`: more than MOST_BUFFERS"
        );
        for word in spec.words {
            assert!(spec.reads.contains(word), "kernel `{name}`: `{word}` of words is none of reads");
        }
        if let Some(sums) = &spec.partial_sums {
            assert!(
                spec.writes.contains(&sums.buffer),
                "kernel `{name}`: `{}` is none of writes",
                sums.buffer
            );
            assert!(sums.terms > 0, "kernel `{name}`: partial sums of no terms");
        }
    }
}

#[test]
fn cases_have_the_sizes_of_their_shape() {
    for spec in ALL {
        let cases = (spec.cases)();
        assert!(!cases.is_empty(), "kernel `{}` has no cases", spec.name);
        for case in cases {
            let what = format!("kernel `{}`, case {:?}", spec.name, case.kernel);
            assert_eq!(case.kernel.spec().name, spec.name, "{what}: another kernel's spec");
            let shape = case.kernel.shape();
            let buffers = [shape.reads.len(), shape.writes.len()];
            assert_eq!(
                buffers,
                [spec.reads.len(), spec.writes.len()],
                "{what}: buffers, expected the spec's"
            );
            let lens = |buffers: &[Vec<f32>]| buffers.iter().map(Vec::len).collect::<Vec<_>>();
            assert_eq!(lens(&case.reads), shape.reads, "{what}: words read, expected its shape's");
            assert_eq!(lens(&case.writes), shape.writes, "{what}: words written, expected its shape's");
        }
    }
}

/// `params` is a struct of as many 32-bit scalars as the kernel gives words.
#[test]
fn params_match_the_kernel() {
    each_variant(|v| {
        let Some((members, span)) = v.uniform("params") else {
            return vec!["no uniform struct `params`".into()];
        };
        let (mut findings, mut count) = (Findings::new(), 0);
        for member in members {
            // The head that kernels over pairs share is a struct of its own.
            let inner = match &v.module.types[member.ty].inner {
                TypeInner::Struct { members, .. } => members,
                _ => std::slice::from_ref(member),
            };
            count += inner.len();
            for member in inner.iter().filter(|m| !v.is_word(m.ty, &[ScalarKind::Uint, ScalarKind::Float])) {
                findings.push(format!("params.{} is no u32 or f32", member.name.as_deref().unwrap_or("?")));
            }
        }
        for case in &v.cases {
            let words = case.params().len();
            if (count, span as usize) != (words, 4 * words) {
                let found = format!("{count} members in {span} bytes");
                findings.push(format!("params has {found}, expected the {words} words of {case:?}"));
            }
        }
        findings
    });
}

/// The uniform block `step` is laid out as [`Step`] is in Rust.
#[test]
fn step_matches_the_struct() {
    let kind = |of: &str| if of == "f32" { ScalarKind::Float } else { ScalarKind::Uint };
    let expected: Vec<_> =
        STEP_FIELDS.iter().map(|&(name, offset, of)| (Some(name), offset, Some(kind(of)))).collect();
    let used = Cell::new(false);
    each_variant(|v| {
        let Some((members, span)) = v.uniform("step") else { return vec![] };
        used.set(true);
        let mut findings = Findings::new();
        let kind = |m: &StructMember| v.module.types[m.ty].inner.scalar_kind();
        let found: Vec<_> = members.iter().map(|m| (m.name.as_deref(), m.offset as usize, kind(m))).collect();
        if found != expected {
            findings.push(format!("the fields of `step` are {found:?}, expected {expected:?}"));
        }
        if span as usize != size_of::<Step>() {
            findings.push(format!("`step` is {span} bytes long, expected {}", size_of::<Step>()));
        }
        findings
    });
    assert!(used.get(), "no kernel has a uniform `step`");
}

/// Each override without a default is given, and none that the shader does not have.
#[test]
fn overrides_match_the_kernel() {
    each_variant(|v| {
        let mut findings: Findings = v.resolve().err().into_iter().collect();
        let given: BTreeSet<_> = v.overrides.iter().map(|(name, _)| *name).collect();
        let mut declared = BTreeSet::new();
        for (_, constant) in v.module.overrides.iter() {
            let name = constant.name.as_deref().unwrap_or("?");
            declared.insert(name);
            if constant.init.is_none() && !given.contains(name) {
                findings.push(format!("the shader needs a value of `{name}`"));
            }
        }
        findings
            .extend(given.difference(&declared).map(|name| format!("the shader has no override `{name}`")));
        findings
    });
}

/// The kernels run on any device: the engine asks for wgpu's default limits, which are WebGPU's.
///
/// wgpu itself checks the workgroup's size before the overrides are known, and its memory not at all.
#[test]
fn limits_hold() {
    let limits = wgpu::Limits::default();
    each_resolved(|_, Resolved { module, info }| {
        let mut findings = Findings::new();
        let mut at_most = |what: &str, found: u32, most: u32| {
            if found > most {
                findings.push(format!("{found} {what}, expected at most {most}"));
            }
        };
        let [x, y, z] = module.entry_points[0].workgroup_size;
        at_most("threads along y", y, 1);
        at_most("threads along z", z, 1);
        at_most("threads in a workgroup", x * y * z, limits.max_compute_invocations_per_workgroup);
        at_most("threads along x", x, limits.max_compute_workgroup_size_x);
        at_most("threads in a last, partial SIMD unit", x % THREADS_UNIT, 0);
        let (mut buffers, mut memory) = (0, 0);
        for (handle, global) in module.global_variables.iter() {
            if info.get_entry_point(0)[handle].is_empty() {
                continue;
            }
            let size = module.types[global.ty].inner.size(module.to_ctx());
            match global.space {
                AddressSpace::Uniform => at_most("bytes in a uniform block", size, MOST_UNIFORM_BYTES),
                AddressSpace::Storage { .. } => buffers += 1,
                AddressSpace::WorkGroup => memory += size.next_multiple_of(16),
                _ => {}
            }
        }
        at_most("storage buffers", buffers, limits.max_storage_buffers_per_shader_stage);
        at_most("bytes of workgroup memory", memory, limits.max_compute_workgroup_storage_size);
        findings
    });
}

#[test]
fn grids_are_within_the_limits() {
    let most = wgpu::Limits::default().max_compute_workgroups_per_dimension as usize;
    each_variant(|v| {
        let grids =
            v.cases.iter().flat_map(|case| case.variants().into_iter().map(move |of| (case, of.grid)));
        grids
            .filter(|(_, grid)| grid.iter().any(|groups| !(1..=most).contains(groups)))
            .map(|(kernel, grid)| {
                format!("{kernel:?} has {grid:?} workgroups, expected 1 to {most} each way")
            })
            .collect()
    });
}

/// The three languages that wgpu's native backends speak.
#[test]
fn shaders_translate_for_vulkan_metal_and_dx12() {
    each_resolved(|_, resolved| {
        let languages =
            [("SPIR-V", to_spirv(resolved)), ("MSL", to_msl(resolved)), ("HLSL", to_hlsl(resolved))];
        languages
            .into_iter()
            .filter_map(|(language, outcome)| Some(format!("{language}: {}", outcome.err()?)))
            .collect()
    });
}

fn to_spirv(Resolved { module, info }: &Resolved) -> Result<(), String> {
    let entry = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
    let options = spv::Options { lang_version: (1, 0), ..Default::default() };
    let words = spv::write_vec(module, info, &options, Some(&entry)).map_err(|e| e.to_string())?;
    expect_entry(words.len() > 5, &[Ok::<_, String>("main")])
}

fn to_msl(Resolved { module, info }: &Resolved) -> Result<(), String> {
    let entry = msl::PipelineOptions {
        entry_point: Some((ShaderStage::Compute, "main".into())),
        ..Default::default()
    };
    // An old version: later ones can say the same.
    let options =
        msl::Options { lang_version: (1, 2), zero_initialize_workgroup_memory: false, ..Default::default() };
    let (text, translation) = msl::write_string(module, info, &options, &entry).map_err(|e| e.to_string())?;
    expect_entry(text.contains("kernel void"), &translation.entry_point_names)
}

fn to_hlsl(Resolved { module, info }: &Resolved) -> Result<(), String> {
    let entry = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".into())) };
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_0,
        zero_initialize_workgroup_memory: false,
        ..Default::default()
    };
    let mut text = String::new();
    let reflection = hlsl::Writer::new(&mut text, &options, &entry)
        .write(module, info, None)
        .map_err(|e| e.to_string())?;
    expect_entry(text.contains("[numthreads("), &reflection.entry_point_names)
}

/// A translation that holds something, and one entry point.
fn expect_entry<T, E: ToString>(holds_code: bool, entries: &[Result<T, E>]) -> Result<(), String> {
    match entries {
        [Ok(_)] if holds_code => Ok(()),
        [Ok(_)] => Err("the output is empty".into()),
        [Err(problem)] => Err(problem.to_string()),
        _ => Err(format!("{} entry points, expected 1", entries.len())),
    }
}

#[test]
fn lints_find_nothing() {
    // They look at the shader as written, which all variants share.
    let first = VARIANTS.iter().filter_map(|(_, variants)| variants.as_ref()?.first());
    let findings = first.flat_map(|v| {
        lints::ALL.iter().flat_map(move |(rule, lint)| {
            let name = v.spec.name;
            lint(&v.module).into_iter().map(move |finding| format!("kernel `{name}`: {rule}: {finding}"))
        })
    });
    let findings: Findings = findings.collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// A kernel is `shaders/FOLDER/NAME.wgsl`, `src/kernel/FOLDER/NAME.rs` and a line in the list: none of the three alone.
#[test]
fn files_match_the_list() {
    let mut listed: Vec<_> = ALL.iter().map(|spec| spec.name.to_owned()).collect();
    listed.sort_unstable();
    assert!(listed.windows(2).all(|pair| pair[0] != pair[1]), "two kernels of one name in {listed:?}");
    let named = |mut paths: Vec<String>| {
        paths.sort_by(|a, b| name(a).cmp(name(b)));
        paths
    };
    let shaders = named(kernel_shaders().into_keys().collect());
    assert_eq!(shaders.iter().map(|path| name(path)).collect::<Vec<_>>(), listed, "files in shaders/");

    // Files without a spec are helpers of the others.
    let mut modules = files("src/kernel", "rs");
    modules.retain(|_, text| text.contains("static SPEC: Spec"));
    assert_eq!(
        named(modules.into_keys().collect()),
        shaders,
        "files in src/kernel/ with a SPEC, as in shaders/"
    );
}

/// The source of a kernel is its own file, then the files of `shaders/lib` that it says it is `with`, and nothing else;
/// each is used.
#[test]
fn sources_are_made_of_the_files() {
    let (own, library) = (files("shaders", "wgsl"), files("shaders/lib", "wgsl"));
    let mut unused: BTreeSet<_> = library.keys().map(String::as_str).collect();
    let mut check = |path: &str, source: &str, plain: bool| {
        let text = own.get(path).unwrap_or_else(|| panic!("there is no shaders/{path}.wgsl"));
        let mut head = text.lines().take_while(|line| line.starts_with("//"));
        let with = head.find_map(|line| line.strip_prefix("// with: ")).unwrap_or_default();
        // Three libraries have one for beginners in their place.
        let with = if plain { with.replace("elements, finish, product", "plain") } else { with.to_owned() };
        let parts: Vec<_> = with.split(", ").filter(|part| !part.is_empty()).collect();
        let file = |part: &&str| {
            library.get(*part).unwrap_or_else(|| panic!("{path}.wgsl: there is no shaders/lib/{part}.wgsl"))
        };
        let expected: String = [text].into_iter().chain(parts.iter().map(file)).map(String::as_str).collect();
        assert!(source == expected, "the source of {path}.wgsl is not its text and those of {parts:?}");
        unused.retain(|name| !parts.contains(name));
    };
    let shaders = kernel_shaders();
    for spec in ALL {
        let path = shaders.keys().find(|path| name(path) == spec.name).expect(spec.name);
        check(path, spec.source, false);
        if let Some(source) = plain_source(spec) {
            let plain = format!("plain/{}", spec.name);
            check(if own.contains_key(&plain) { &plain } else { path }, source, true);
        }
    }
    assert!(unused.is_empty(), "no kernel uses {unused:?} of shaders/lib");
}

/// The beginner's shader of a kernel, if it has one.
fn plain_source(spec: &Spec) -> Option<&'static str> {
    (spec.cases)().iter().find_map(|case| case.kernel.plain()?.source)
}

/// The file's name in a path.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The kernels' own shaders.
fn kernel_shaders() -> BTreeMap<String, String> {
    let mut shaders = files("shaders", "wgsl");
    shaders.retain(|path, _| !path.starts_with("lib/") && !path.starts_with("plain/"));
    shaders
}

/// Contents of the files in a folder of the crate and its folders, by path in it without extension.
fn files(folder: &str, extension: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut folders, mut found) = (vec![root.clone()], BTreeMap::new());
    while let Some(inner) = folders.pop() {
        for path in inner.read_dir().expect(folder).map(|entry| entry.expect(folder).path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|of| of == extension) {
                let text = std::fs::read_to_string(&path).expect(folder);
                let inside = path.with_extension("");
                let inside = inside.strip_prefix(&root).expect("it is in the folder");
                found.insert(inside.to_string_lossy().into_owned(), text);
            }
        }
    }
    found
}
