//! `compilers DIR ASM_DIR`: compiles the shaders that DIR/index.json lists with the first Vulkan driver, prints a line of
//! JSON for each with what the driver says of it (VK_KHR_pipeline_executable_properties), and writes its machine code to
//! ASM_DIR. Nothing is run.
//!
//! The device is asked for as wgpu does it: with robust access to buffers, by VK_EXT_robustness2 where there is that.

use ash::{Device, Entry, khr::pipeline_executable_properties, vk};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::ffi::CStr;
use std::path::Path;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, assembly] = &arguments[..] else { return Err("usage: compilers DIR ASM_DIR".into()) };
    std::fs::create_dir_all(assembly)?;
    let index: Vec<Value> = serde_json::from_slice(&std::fs::read(Path::new(directory).join("index.json"))?)?;
    let driver = Driver::open()?;
    for mut shader in index {
        let file = shader["file"].as_str().ok_or("a shader without a file")?.to_owned();
        let bytes = std::fs::read(Path::new(directory).join(&file))?;
        let words: Vec<u32> =
            bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
        let stem = Path::new(assembly).join(file.trim_end_matches(".spv"));
        // SAFETY: the words are valid SPIR-V, which naga wrote; all handles are of this device.
        shader["statistics"] = unsafe { driver.statistics(&words, &shader["bindings"], &stem) }?;
        shader["device"] = json!(driver.name);
        println!("{shader}");
    }
    Ok(())
}

struct Driver {
    name: String,
    device: Device,
    executables: pipeline_executable_properties::Device,
    // Both must live as long as the device.
    _instance: ash::Instance,
    _entry: Entry,
}

impl Driver {
    fn open() -> Fallible<Self> {
        // SAFETY: each call is given what it asks for, and all structures outlive the calls.
        unsafe {
            let entry = Entry::load()?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let instance =
                entry.create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None)?;
            let physical = *instance.enumerate_physical_devices()?.first().ok_or("no Vulkan device")?;
            let properties = instance.get_physical_device_properties(physical);
            let name = properties.device_name_as_c_str()?.to_string_lossy().into_owned();
            let offered = instance.enumerate_device_extension_properties(physical)?;
            let has = |wanted: &CStr| offered.iter().any(|e| e.extension_name_as_c_str() == Ok(wanted));
            if !has(vk::KHR_PIPELINE_EXECUTABLE_PROPERTIES_NAME) {
                return Err(format!("{name} says nothing of its shaders").into());
            }
            let robust = has(vk::EXT_ROBUSTNESS2_NAME);
            let mut extensions = vec![vk::KHR_PIPELINE_EXECUTABLE_PROPERTIES_NAME.as_ptr()];
            if robust {
                extensions.push(vk::EXT_ROBUSTNESS2_NAME.as_ptr());
            }
            let mut executable =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
            let mut robustness = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
            let mut sizes = vk::PhysicalDeviceVulkan13Features::default().subgroup_size_control(true);
            let mut features = vk::PhysicalDeviceFeatures2::default();
            features.features.robust_buffer_access = vk::TRUE;
            let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
            let mut wanted = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions)
                .push_next(&mut executable)
                .push_next(&mut sizes)
                .push_next(&mut features);
            if robust {
                wanted = wanted.push_next(&mut robustness);
            }
            let device = instance.create_device(physical, &wanted, None)?;
            let executables = pipeline_executable_properties::Device::new(&instance, &device);
            Ok(Self { name, device, executables, _instance: instance, _entry: entry })
        }
    }

    /// What the driver says of a shader; its machine code goes to files that begin with `stem`.
    unsafe fn statistics(&self, words: &[u32], bindings: &Value, stem: &Path) -> Fallible<Value> {
        // SAFETY: by the caller.
        unsafe {
            let device = &self.device;
            let module = device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(words), None)?;
            let binding = |binding: &Value| {
                let kind = match (&binding["uniform"], binding["name"].as_str()) {
                    (Value::Bool(true), Some("step")) => vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC,
                    (Value::Bool(true), _) => vk::DescriptorType::UNIFORM_BUFFER,
                    _ => vk::DescriptorType::STORAGE_BUFFER,
                };
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding["number"].as_u64().unwrap_or_default() as u32)
                    .descriptor_type(kind)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            };
            let bindings: Vec<_> = bindings.as_array().into_iter().flatten().map(binding).collect();
            let layout = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [device.create_descriptor_set_layout(&layout, None)?];
            let layout =
                device.create_pipeline_layout(&vk::PipelineLayoutCreateInfo::default().set_layouts(&sets), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main")
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE);
            let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let wanted = vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(flags);
            let made = device.create_compute_pipelines(vk::PipelineCache::null(), &[wanted], None);
            let pipeline = made.map_err(|(_, error)| error)?[0];
            let of = vk::PipelineInfoKHR::default().pipeline(pipeline);
            let found = self.executables.get_pipeline_executable_properties(&of)?;
            let mut all = Map::new();
            for (i, executable) in found.iter().enumerate() {
                let which =
                    vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(i as u32);
                for statistic in self.executables.get_pipeline_executable_statistics(&which)? {
                    let name = statistic.name_as_c_str()?.to_string_lossy().into_owned();
                    let value = match statistic.format {
                        vk::PipelineExecutableStatisticFormatKHR::UINT64 => json!(statistic.value.u64),
                        vk::PipelineExecutableStatisticFormatKHR::INT64 => json!(statistic.value.i64),
                        vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => json!(statistic.value.f64),
                        _ => json!(statistic.value.b32),
                    };
                    all.insert(name, value);
                }
                all.insert("subgroup size".into(), json!(executable.subgroup_size));
                self.machine_code(&which, stem)?;
            }
            device.destroy_pipeline(pipeline, None);
            device.destroy_pipeline_layout(layout, None);
            device.destroy_descriptor_set_layout(sets[0], None);
            device.destroy_shader_module(module, None);
            Ok(Value::Object(all))
        }
    }

    /// Writes the texts that a driver has of an executable, its machine code among them.
    unsafe fn machine_code(&self, which: &vk::PipelineExecutableInfoKHR<'_>, stem: &Path) -> Fallible<()> {
        // SAFETY: the first call tells how many there are, the second how long each is, the third fills them.
        unsafe {
            let get = self.executables.fp().get_pipeline_executable_internal_representations_khr;
            let mut count = 0;
            get(self.device.handle(), which, &mut count, std::ptr::null_mut()).result()?;
            let mut texts = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
            get(self.device.handle(), which, &mut count, texts.as_mut_ptr()).result()?;
            let mut buffers: Vec<Vec<u8>> = texts.iter().map(|text| vec![0; text.data_size]).collect();
            for (text, buffer) in texts.iter_mut().zip(&mut buffers) {
                text.p_data = buffer.as_mut_ptr().cast();
            }
            get(self.device.handle(), which, &mut count, texts.as_mut_ptr()).result()?;
            for (text, buffer) in texts.iter().zip(&buffers) {
                let name = text.name_as_c_str()?.to_string_lossy().replace(' ', "-");
                let end = buffer.iter().position(|&byte| byte == 0).unwrap_or(buffer.len());
                std::fs::write(stem.with_extension(format!("{name}.txt")), &buffer[..end])?;
            }
            Ok(())
        }
    }
}
