//! Opening libtorch: the CUDA half first, if there is one.

use std::ffi::{CStr, CString, c_char};
use std::sync::OnceLock;

use lipcert_models::training::job::{self, Doctor};
use tch::Cuda;

use crate::{TrainError, precision};

/// What came of opening the CUDA half: nothing, or the loader's words.
static OPENED: OnceLock<Result<(), String>> = OnceLock::new();

/// Opens the CUDA half of libtorch, once; must come before every other call, because libtorch remembers what it found at the first one.
///
/// # Errors
///
/// The words of the loader, if there is no such library; the CPU half works all the same.
pub fn open() -> Result<(), String> {
    OPENED.get_or_init(open_cuda).clone()
}

#[expect(unsafe_code, reason = "a library is opened by name")]
fn open_cuda() -> Result<(), String> {
    let name = CString::new("libtorch_cuda.so").map_err(|error| error.to_string())?;
    // SAFETY: `name` is a C string that outlives the call; the library's initialisers are those of libtorch, whose other half this program is
    // linked with; it is never closed.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: dlerror has no arguments; it returns null or a C string that is valid until the next call in this thread.
    let words = unsafe {
        let words = libc::dlerror();
        if words.is_null() {
            c"unknown error"
        } else {
            CStr::from_ptr(words)
        }
    };
    Err(words.to_string_lossy().into_owned())
}

#[expect(unsafe_code, reason = "the function of `version.cpp`")]
unsafe extern "C" {
    fn lipcert_libtorch_version() -> *const c_char;
}

/// The version of libtorch whose headers the program was built with.
#[expect(unsafe_code, reason = "a function of `version.cpp`")]
fn version() -> String {
    // SAFETY: no arguments; the result is a string literal.
    let text = unsafe { CStr::from_ptr(lipcert_libtorch_version()) };
    text.to_string_lossy().into_owned()
}

/// What libtorch and CUDA say about themselves.
#[must_use]
pub fn doctor() -> Doctor {
    let opened = open();
    let devices = Cuda::device_count();
    Doctor {
        libtorch: version(),
        threads: tch::get_num_threads(),
        cuda_devices: devices,
        cuda_error: opened.err(),
        cudnn: devices > 0 && Cuda::cudnn_is_available(),
    }
}

/// The device that a job asks for.
///
/// `local_rank` is the number of this process on its machine, where there are several: it is added to the number of a CUDA device. Products of float32 are
/// float32 from here on, where CUDA would take shorter numbers for convolutions.
///
/// # Errors
///
/// [`TrainError::NoCuda`].
pub fn choose(asked: job::Device, local_rank: usize) -> Result<tch::Device, TrainError> {
    let opened = open();
    precision::full();
    let devices = Cuda::device_count();
    let found = |index: usize| i64::try_from(index).is_ok_and(|index| index < devices);
    match asked {
        job::Device::Cpu => Ok(tch::Device::Cpu),
        job::Device::Auto if found(local_rank) => Ok(tch::Device::Cuda(local_rank)),
        job::Device::Auto if devices == 0 => Ok(tch::Device::Cpu),
        job::Device::Cuda(index) if found(index + local_rank) => Ok(tch::Device::Cuda(index + local_rank)),
        job::Device::Auto | job::Device::Cuda(_) => Err(TrainError::NoCuda {
            index: match asked {
                job::Device::Cuda(index) => index + local_rank,
                _ => local_rank,
            },
            devices,
            cause: opened.err().map_or_else(String::new, |cause| format!(" ({cause})")),
        }),
    }
}
