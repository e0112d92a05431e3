//! Several processes that train together: sums over them, and waiting for each other.
//!
//! The processes are started by somebody else, who tells each its [`Place`]. They speak through libtorch's own Gloo (sockets, CPU memory); its choice of a
//! network interface is steered by `GLOO_SOCKET_IFNAME`. What lies on a CUDA device passes through CPU memory.
//!
//! All processes make the same calls in the same order. A process that stays away makes the others fail once the timeout is over; one that ends makes
//! them fail at once.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use lipcert_models::training::place::Place;
use tch::{Device, Kind, Tensor};

use crate::TrainError;

/// How long the processes wait for each other, as libtorch's process groups do unless told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How often who waits for the others is asked whether to go on.
const PAUSE: Duration = Duration::from_millis(100);

/// The processes that train together, seen from one of them.
#[derive(Debug)]
pub struct Group {
    place: Place,
    meeting: Meeting,
}

/// `LipcertGroup` of `distributed/group.cpp`.
#[repr(C)]
struct Handle {
    _private: [u8; 0],
}

#[expect(unsafe_code, reason = "functions of `distributed/group.cpp`")]
unsafe extern "C" {
    fn lipcert_group_open(
        host: *const c_char,
        port: u16,
        rank: c_int,
        size: c_int,
        serves: c_int,
        prefix: *const c_char,
        milliseconds: i64,
        words: *mut *mut c_char,
    ) -> *mut Handle;
    fn lipcert_group_reduce(group: *mut Handle, tensor: *mut c_void, largest: c_int, words: *mut *mut c_char) -> c_int;
    fn lipcert_group_broadcast(group: *mut Handle, tensor: *mut c_void, root: i64, words: *mut *mut c_char) -> c_int;
    fn lipcert_group_barrier(group: *mut Handle, words: *mut *mut c_char) -> c_int;
    fn lipcert_group_close(group: *mut Handle);
    fn lipcert_words_free(words: *mut c_char);
}

/// The words of an exception, which are given back.
#[expect(unsafe_code, reason = "a C string is read and freed")]
fn take(words: *mut c_char) -> String {
    if words.is_null() {
        return String::new();
    }
    // SAFETY: `words` is a C string that `group.cpp` has made and that nobody else has.
    let text = unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned();
    // SAFETY: as above; it is not used any more.
    unsafe { lipcert_words_free(words) };
    // what follows the first line are places in libtorch
    text.lines().next().unwrap_or_default().to_owned()
}

impl Group {
    /// Meets the others, if the variables of `torchrun` say that there are any; see [`Place::read`]. `wait` is asked now and again, with the time so far,
    /// whether to go on waiting for them.
    ///
    /// # Errors
    ///
    /// [`TrainError::Place`], [`TrainError::Alone`] if `wait` says no, and as [`Group::open`].
    pub fn from_environment(wait: &mut dyn FnMut(&Place, Duration) -> bool) -> Result<Option<Self>, TrainError> {
        let Some(place) = Place::of_environment()? else {
            return Ok(None);
        };
        // libtorch's calls end when they have succeeded or are late, so that they wait in a thread of their own
        let (sender, met) = mpsc::channel();
        let theirs = place.clone();
        thread::spawn(move || sender.send(Meeting::new(&theirs, TIMEOUT)));
        let begin = Instant::now();
        loop {
            match met.recv_timeout(PAUSE) {
                Ok(meeting) => return Ok(Some(meeting?.group(place))),
                Err(RecvTimeoutError::Timeout) if wait(&place, begin.elapsed()) => {}
                Err(_) => return Err(TrainError::Alone),
            }
        }
    }

    /// Meets the others. `timeout` holds for this and for every later call.
    ///
    /// # Errors
    ///
    /// [`TrainError::Group`] if not all processes have come in time.
    ///
    /// # Panics
    ///
    /// If a name in `place` has a zero byte or its size does not fit into 31 bits; [`Place::read`] lets neither pass.
    pub fn open(place: Place, timeout: Duration) -> Result<Self, TrainError> {
        Ok(Meeting::new(&place, timeout)?.group(place))
    }

    /// Number of this process, from 0.
    #[must_use]
    pub const fn rank(&self) -> usize {
        self.place.rank
    }

    /// Number of processes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.place.size
    }

    /// Number of this process on its machine, from 0.
    #[must_use]
    pub const fn local_rank(&self) -> usize {
        self.place.local_rank
    }

    /// Replaces every tensor by its sum over the processes, the same to the bit in each.
    ///
    /// # Errors
    ///
    /// - [`TrainError::Unlike`] if number, kinds or shapes of the tensors are not the same in all processes.
    /// - [`TrainError::Group`] if a process is gone or late.
    /// - [`TrainError::Torch`] if the tensors cannot be copied.
    pub fn sum(&self, tensors: &mut [Tensor]) -> Result<(), TrainError> {
        self.compare(tensors)?;
        self.each_kind(tensors, |flat| self.reduce(flat, false))
    }

    /// Replaces every tensor by that of process `root`.
    ///
    /// # Errors
    ///
    /// As [`Group::sum`].
    ///
    /// # Panics
    ///
    /// If there is no process `root`.
    pub fn broadcast(&self, tensors: &mut [Tensor], root: usize) -> Result<(), TrainError> {
        assert!(root < self.size(), "process {root} of {}", self.size());
        let root = i64::try_from(root).expect("a number of processes");
        self.compare(tensors)?;
        self.each_kind(tensors, |flat| self.send(flat, root))
    }

    /// Waits until all processes have come here.
    ///
    /// # Errors
    ///
    /// [`TrainError::Group`] if a process is gone or late.
    pub fn barrier(&self) -> Result<(), TrainError> {
        self.meeting.barrier()
    }

    const fn handle(&self) -> *mut Handle {
        self.meeting.0.as_ptr()
    }

    /// Gloo does not notice that sizes differ; so a fingerprint of them is compared first.
    fn compare(&self, tensors: &[Tensor]) -> Result<(), TrainError> {
        let mut print = 0xcbf2_9ce4_8422_2325_u64;
        let mut mix = |number: i64| print = (print ^ number.cast_unsigned()).wrapping_mul(0x0100_0000_01b3) ^ (print >> 31);
        for tensor in tensors {
            mix(kind_number(tensor.kind()));
            mix(i64::try_from(tensor.dim()).expect("a number of dimensions"));
            tensor.size().into_iter().for_each(&mut mix);
        }
        let print = (print >> 1).cast_signed();
        let mut both = Tensor::f_from_slice(&[print, -print])?;
        self.reduce(&mut both, true)?;
        if Vec::<i64>::try_from(&both)? == [print, -print] {
            Ok(())
        } else {
            Err(TrainError::Unlike { rank: self.rank() })
        }
    }

    /// Lays the tensors of a kind one behind the other in CPU memory, and brings them back.
    fn each_kind(
        &self,
        tensors: &mut [Tensor],
        exchange: impl Fn(&mut Tensor) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let mut kinds: Vec<Kind> = Vec::new();
        for tensor in tensors.iter() {
            if !kinds.contains(&tensor.kind()) {
                kinds.push(tensor.kind());
            }
        }
        for kind in kinds {
            let mut chosen: Vec<&mut Tensor> = tensors.iter_mut().filter(|tensor| tensor.kind() == kind).collect();
            let flat: Result<Vec<Tensor>, _> = chosen
                .iter()
                .map(|tensor| tensor.detach().f_to_device(Device::Cpu)?.f_reshape([-1]))
                .collect();
            let mut flat = Tensor::f_cat(&flat?, 0)?;
            exchange(&mut flat)?;
            let mut start = 0;
            for tensor in &mut chosen {
                let length = i64::try_from(tensor.numel()).expect("a size");
                let part = flat.f_narrow(0, start, length)?.f_view(tensor.size().as_slice())?;
                tch::no_grad(|| tensor.f_copy_(&part))?;
                start += length;
            }
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "a function of `distributed/group.cpp`")]
    fn reduce(&self, flat: &mut Tensor, largest: bool) -> Result<(), TrainError> {
        let mut words = ptr::null_mut();
        // SAFETY: the handle lives as long as `self`; the tensor is tch's, a pointer to an `at::Tensor`, and outlives the call, which waits until it
        // is done; `words` may be written to.
        let status = unsafe {
            let tensor = flat.as_mut_ptr().cast();
            lipcert_group_reduce(self.handle(), tensor, largest.into(), &raw mut words)
        };
        finish("summing", status, words)
    }

    #[expect(unsafe_code, reason = "a function of `distributed/group.cpp`")]
    fn send(&self, flat: &mut Tensor, root: i64) -> Result<(), TrainError> {
        let mut words = ptr::null_mut();
        // SAFETY: as for the sum.
        let status = unsafe {
            let tensor = flat.as_mut_ptr().cast();
            lipcert_group_broadcast(self.handle(), tensor, root, &raw mut words)
        };
        finish("sending to all", status, words)
    }
}

/// What a meeting has opened.
#[derive(Debug)]
struct Meeting(NonNull<Handle>);

// SAFETY: the process group belongs to no thread, and whoever has the handle is the only one who uses it.
#[expect(unsafe_code, reason = "the handle is made in a thread of its own")]
unsafe impl Send for Meeting {}

impl Meeting {
    /// Waits until all processes are there.
    #[expect(unsafe_code, reason = "a function of `distributed/group.cpp`")]
    fn new(place: &Place, timeout: Duration) -> Result<Self, TrainError> {
        let host = CString::new(place.host.as_str()).expect("no zero byte");
        let prefix = CString::new(format!("lipcert/{}", place.attempt)).expect("no zero byte");
        let [rank, size] = [place.rank, place.size].map(|number| c_int::try_from(number).expect("a number of processes"));
        let milliseconds = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        let serves = c_int::from(place.serves && place.rank == 0);
        let mut words = ptr::null_mut();
        // SAFETY: both strings end with a zero and outlive the call; `words` may be written to.
        let handle = unsafe {
            lipcert_group_open(
                host.as_ptr(),
                place.port,
                rank,
                size,
                serves,
                prefix.as_ptr(),
                milliseconds,
                &raw mut words,
            )
        };
        let cause = take(words);
        let Some(handle) = NonNull::new(handle) else {
            return Err(TrainError::Group {
                what: "meeting at the master",
                cause,
            });
        };
        let meeting = Self(handle);
        meeting.barrier()?;
        Ok(meeting)
    }

    #[expect(unsafe_code, reason = "a function of `distributed/group.cpp`")]
    fn barrier(&self) -> Result<(), TrainError> {
        let mut words = ptr::null_mut();
        // SAFETY: the handle lives as long as `self`; `words` may be written to.
        let status = unsafe { lipcert_group_barrier(self.0.as_ptr(), &raw mut words) };
        finish("waiting for all", status, words)
    }

    const fn group(self, place: Place) -> Group {
        Group { place, meeting: self }
    }
}

impl Drop for Meeting {
    #[expect(unsafe_code, reason = "a function of `distributed/group.cpp`")]
    fn drop(&mut self) {
        // SAFETY: the handle is that of `new` and is not used any more.
        unsafe { lipcert_group_close(self.0.as_ptr()) };
    }
}

/// What a call has brought.
fn finish(what: &'static str, status: c_int, words: *mut c_char) -> Result<(), TrainError> {
    let cause = take(words);
    if status == 0 {
        Ok(())
    } else {
        Err(TrainError::Group { what, cause })
    }
}

/// A number of its own for every kind.
const fn kind_number(kind: Kind) -> i64 {
    kind as i64
}
