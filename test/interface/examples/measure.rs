use std::ffi::CString;
use std::os::raw::{c_char, c_int, c_uint, c_void};

#[repr(C)]
struct Interface {
    stats_bytes: usize,
    read: extern "C" fn(*mut c_void),
    read_thread: extern "C" fn(*mut c_void),
    others: [*const c_void; 11],
    figure: extern "C" fn(*const c_void, *const c_char, *mut f64) -> c_int,
}

extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

fn find_interface() -> Option<&'static Interface> {
    let name = CString::new("heapster_interface").unwrap();
    let found = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    if found.is_null() {
        return None;
    }
    let finder: extern "C" fn(c_uint, usize) -> *const Interface = unsafe { std::mem::transmute(found) };
    unsafe { finder(1, 0).as_ref() }
}

fn allocated(heapster: &Interface, stats: &mut [u64], name: &CString) -> f64 {
    let mut value = 0.0;
    (heapster.read_thread)(stats.as_mut_ptr().cast());
    (heapster.figure)(stats.as_ptr().cast(), name.as_ptr(), &mut value);
    value
}

fn main() {
    let heapster = match find_interface() {
        Some(found) => found,
        None => return println!("measured: no"),
    };
    println!("measured: yes");
    let mut stats = vec![0u64; heapster.stats_bytes / 8];
    let name = CString::new("alloc_sum").unwrap();
    let before = allocated(heapster, &mut stats, &name);
    let numbers: Vec<u64> = Vec::with_capacity(1000);
    println!("a vector of {}: {} bytes", numbers.capacity(), allocated(heapster, &mut stats, &name) - before);
}
