import ctypes


class Interface(ctypes.Structure):
    _fields_ = [
        ("stats_bytes", ctypes.c_size_t),
        ("read", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("read_thread", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("others", ctypes.c_void_p * 11),
        ("figure", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_double))),
    ]


def find_interface():
    finder = getattr(ctypes.CDLL(None), "heapster_interface", None)
    if finder is None:
        return None
    finder.argtypes, finder.restype = [ctypes.c_uint, ctypes.c_size_t], ctypes.POINTER(Interface)
    return finder(1, 0).contents


def allocations(interface, stats):
    value = ctypes.c_double()
    interface.read_thread(stats)
    interface.figure(stats, b"alloc_sum", ctypes.byref(value))
    return value.value


heapster = find_interface()
print("measured:", "yes" if heapster else "no")
if heapster:
    stats = ctypes.create_string_buffer(heapster.stats_bytes)
    before = allocations(heapster, stats)
    text = "x" * 1000000
    print("a million letters:", (allocations(heapster, stats) - before) // 100000 / 10, "MB")
