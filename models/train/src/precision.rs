//! Products in bfloat16, weights and sums in float32.

use tch::Device;

#[expect(unsafe_code, reason = "the function of `precision.cpp`")]
unsafe extern "C" {
    fn lipcert_autocast(cuda: bool, on: bool);
    fn lipcert_full_float32();
}

/// No products of float32 in TF32, which has ten bits of mantissa.
#[expect(unsafe_code, reason = "a function of `precision.cpp`")]
pub fn full() {
    // SAFETY: no arguments; the function sets flags of libtorch and does not throw.
    unsafe { lipcert_full_float32() };
}

/// Whether a device is a CUDA device, kept until autocast ends.
#[derive(Debug)]
struct Autocast(bool);

impl Autocast {
    #[expect(unsafe_code, reason = "a function of `precision.cpp`")]
    fn begin(device: Device) -> Self {
        let cuda = device.is_cuda();
        // SAFETY: two booleans by value; the function sets flags of this thread and does not throw.
        unsafe { lipcert_autocast(cuda, true) };
        Self(cuda)
    }
}

impl Drop for Autocast {
    #[expect(unsafe_code, reason = "a function of `precision.cpp`")]
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { lipcert_autocast(self.0, false) };
    }
}

/// Calls a function whose matrix products and convolutions are computed in bfloat16, with what libtorch's autocast keeps in float32.
pub fn bfloat16<T>(device: Device, compute: impl FnOnce() -> T) -> T {
    let _autocast = Autocast::begin(device);
    compute()
}
