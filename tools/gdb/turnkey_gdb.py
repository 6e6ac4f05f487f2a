"""turnkey in gdb: goroutines, and what locks, wait_groups and channels hold. Of a running process and of a core file.

  info goroutines      every goroutine: id, name, state, what it waits for, the function it is in
  goroutine 7          its backtrace
  goroutine 7 COMMAND  any command, as if that goroutine were the current thread: goroutine 7 up, goroutine 7 info locals
  goroutine all        the backtraces of all

gdb loads this by itself, from the library's section .debug_gdb_scripts, if it trusts the folder (`set auto-load
safe-path`); else: source turnkey_gdb.py. It needs the library's debug information. Nothing in the process is changed: a
goroutine that is not running is shown by an unwinder that takes its saved registers for those of the caller of frame 0.
"""

import re

import gdb
import gdb.printing
import gdb.unwinder

# parking/reason.hpp
REASONS = {
    "mutex_lock": "sync.Mutex.Lock",
    "rw_mutex_lock": "sync.RWMutex.Lock",
    "rw_mutex_lock_shared": "sync.RWMutex.RLock",
    "wait_group_wait": "sync.WaitGroup.Wait",
    "once_call": "sync.Once.Do",
    "condition_wait": "sync.Cond.Wait",
    "semaphore_acquire": "semacquire",
    "chan_send": "chan send",
    "chan_send_nil": "chan send (nil chan)",
    "chan_receive": "chan receive",
    "chan_receive_nil": "chan receive (nil chan)",
    "select": "select",
    "select_no_cases": "select (no cases)",
    "sleep": "sleep",
}
OBJECTS = {"mutex": "mutex", "rw": "rw_mutex", "wait": "wait_group", "once": "once", "condition": "condition_variable"}
# sync/lock_core.hpp
HELD, QUEUED, AWAKE, READER = 1, 16, 32, 512
PER_CPU_STRIDE = 4096  # platform/rseq.hpp
# channel/channel_core.hpp
CLOSED, UNIT = 2, 16


def load(atomic):
    """What is in a std::atomic, of libstdc++ or libc++."""
    for path in (("_M_i",), ("_M_b", "_M_p"), ("__a_", "__a_value")):
        value = atomic
        try:
            for name in path:
                value = value[name]
            return value
        except gdb.error:
            continue
    raise gdb.error("this std::atomic is not known here")


def static(name):
    """A static object of the library."""
    try:
        return gdb.parse_and_eval(f"'{name}'")
    except gdb.error as error:
        raise gdb.GdbError(f"turnkey's debug information is not there ({error})") from None


def enumerator(value):
    return str(value).rsplit("::", 1)[-1]


# --- goroutines ---------------------------------------------------------------------------------------------------------------


class Goroutine:
    def __init__(self, record, running):
        self.record = record
        self.address = int(record.address)
        self.id = int(load(record["id_"]))
        self.status = enumerator(load(record["status_"]))
        self.thread = running.get(self.address)
        length = int(record["name_length_"])
        self.name = record["room_"].address.cast(gdb.lookup_type("char").pointer()).string("utf-8", "replace", length)
        waiter = load(record["waiting_"])
        self.waiter = waiter.dereference() if int(waiter) != 0 else None

    def state(self):
        if self.thread is not None:
            return "running"
        if self.waiter is not None and enumerator(load(self.waiter["state_"])) == "parked":
            return REASONS.get(enumerator(self.waiter["why_"]), enumerator(self.waiter["why_"]))
        return "runnable"

    def waits_for(self):
        """`mutex 0x..., held by goroutine 3 "owner"`, or nothing."""
        if self.state() in ("running", "runnable"):
            return ""
        try:
            return self.describe_object()
        except gdb.MemoryError:  # what gdb's own generate-core-file writes stops at a guard page
            return "something that is not in the core file"

    def describe_object(self):
        why, where = enumerator(self.waiter["why_"]), self.waiter["object_"]
        if why in ("mutex_lock", "rw_mutex_lock", "rw_mutex_lock_shared"):
            lock = where.cast(gdb.lookup_type("turnkey::lock_core").pointer()).dereference()
            return f"{'mutex' if why == 'mutex_lock' else 'rw_mutex'} {int(where):#x}, {describe_lock(lock, why != 'mutex_lock')}"
        if why in ("chan_send", "chan_receive"):
            channel = where.cast(gdb.lookup_type("turnkey::channel_core").pointer()).dereference()
            return f"channel {int(where):#x}, {describe_channel(channel)}"
        kind = why.split("_")[0]
        return f"{OBJECTS.get(kind, kind)} {int(where):#x}" if int(where) != 0 and kind not in ("select", "sleep") else ""

    def describe(self):
        return f"goroutine {self.id}" + (f' "{self.name}"' if self.name else "")

    def has_stack(self):
        return bool(self.record["has_started_"]) and int(self.record["saved_"]) != 0


def running_goroutines():
    """Of each goroutine that is on a CPU, or was when the core was written: address -> the kernel's id of its thread."""
    found = {}
    workers = static("turnkey::runtime::scheduler::workers_")["_M_elems"]
    for i in range(int(load(static("turnkey::runtime::scheduler::worker_count_")))):
        worker = load(workers[i])
        if int(worker) != 0 and int(load(worker["running_"])) != 0:
            found[int(load(worker["running_"]))] = int(worker["thread_"])
    return found


def goroutines():
    """All that have been started and have not ended, by their ids."""
    records = static("turnkey::runtime::(anonymous namespace)::records")
    running = running_goroutines()
    made = int(load(records["made"]))
    chunk_records = (2 << 20) // gdb.lookup_type("turnkey::runtime::goroutine").sizeof
    found = []
    for i in range(made):
        record = load(records["chunk"]["_M_elems"][i // chunk_records])[i % chunk_records]
        if enumerator(load(record["status_"])) != "unused":
            found.append(Goroutine(record, running))
    return sorted(found, key=lambda g: g.id)


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class SavedStack(gdb.unwinder.Unwinder):
    """While `saved` is set, frame 0 was called by what this switched-out stack holds (platform/switch_*.S)."""

    def __init__(self):
        super().__init__("turnkey saved stack")
        self.saved = 0

    def __call__(self, pending):
        if self.saved == 0 or pending.level() != 0:
            return None
        word = gdb.lookup_type("unsigned long")

        def at(offset):
            return gdb.Value(self.saved + offset).cast(word.pointer()).dereference()

        if pending.architecture().name().startswith("aarch64"):
            saved = {"x29": at(0), "pc": at(8), "sp": gdb.Value(self.saved + 160).cast(word)}
            saved.update({f"x{19 + i}": at(16 + 8 * i) for i in range(10)})
        else:
            saved = {"rip": at(56), "rsp": gdb.Value(self.saved + 64).cast(word), "rbp": at(48), "rbx": at(40)}
            saved.update({"r12": at(32), "r13": at(24), "r14": at(16), "r15": at(8)})
        # The id says that frame 0 is on this stack, too: gdb believes in no caller that is further in.
        sp = gdb.Value(self.saved).cast(gdb.lookup_type("void").pointer())
        info = pending.create_unwind_info(FrameId(sp, pending.read_register("pc")))
        for name, value in saved.items():
            info.add_saved_register(name, value)
        return info


saved_stack = SavedStack()
gdb.unwinder.register_unwinder(None, saved_stack, replace=True)


class On:
    """As if the goroutine were the current thread: its innermost frame is the selected one."""

    def __init__(self, goroutine):
        self.goroutine = goroutine
        self.thread = gdb.selected_thread()

    def __enter__(self):
        if self.goroutine.thread is not None:
            for thread in gdb.selected_inferior().threads():
                if thread.ptid[1] == self.goroutine.thread:
                    thread.switch()
                    gdb.newest_frame().select()
                    return self
            raise gdb.GdbError(f"{self.goroutine.describe()} runs on thread {self.goroutine.thread}, which is not here")
        if not self.goroutine.has_stack():
            raise gdb.GdbError(f"{self.goroutine.describe()} has not started")
        saved_stack.saved = int(self.goroutine.record["saved_"])
        gdb.invalidate_cached_frames()
        gdb.newest_frame().older().select()
        return self

    def __exit__(self, *_):
        saved_stack.saved = 0
        gdb.invalidate_cached_frames()
        if self.thread is not None and self.thread.is_valid():
            self.thread.switch()
            gdb.newest_frame().select()


def frames():
    """The selected goroutine's, innermost first."""
    frame = gdb.selected_frame()
    while frame is not None:
        yield frame
        frame = frame.older()


def function_of(goroutine):
    """`transfer at bank.cpp:12`: the innermost frame that is neither the library's nor the C++ library's."""
    try:
        with On(goroutine):
            for frame in frames():
                name = frame.name() or ""
                if name and not name.startswith(("turnkey", "std::", "__")):
                    place = frame.find_sal()
                    where = f" at {place.symtab.filename}:{place.line}" if place.symtab else ""
                    return name + where
    except (gdb.GdbError, gdb.error) as error:
        return str(error) if "not started" in str(error) else ""
    return ""


class InfoGoroutines(gdb.Command):
    """Lists turnkey's goroutines: id, name, state, what each waits for, and the function it is in."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        found = goroutines()
        for goroutine in found:
            line = f"{goroutine.describe()} [{goroutine.state()}]"
            if goroutine.thread is not None:
                line += f": on thread {goroutine.thread}"
            elif goroutine.waits_for():
                line += f": waits for {goroutine.waits_for()}"
            print(line)
            function = function_of(goroutine)
            if function:
                print(f"    {function}")
        if not found:
            print("No goroutines.")


class GoroutineCommand(gdb.Command):
    """goroutine ID [COMMAND]: runs a command, backtrace unless another is given, as if that goroutine were the current
    thread. `all` in place of ID: for every goroutine."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split(None, 1)
        if not words:
            raise gdb.GdbError("goroutine ID [COMMAND]; `info goroutines` lists them")
        command = words[1] if len(words) == 2 else "backtrace"
        found = [g for g in goroutines() if words[0] in (str(g.id), "all")]
        if not found and words[0] != "all":
            raise gdb.GdbError(f"no goroutine {words[0]}")
        for goroutine in found:
            if words[0] == "all":
                print(f"\n{goroutine.describe()} [{goroutine.state()}]")
            try:
                with On(goroutine):
                    text = gdb.execute(command, False, True)
            except gdb.GdbError:
                if words[0] != "all":
                    raise
                continue
            if goroutine.thread is None and re.match(r"(bt|backtrace|where)\b", command):
                text = re.sub(r"\A#0 .*?(?=^#1 |\Z)", "", text, flags=re.S | re.M)  # the thread that lends its place
            print(text, end="")


InfoGoroutines()
GoroutineCommand()


# --- printers -----------------------------------------------------------------------------------------------------------------


def describe_owner(token):
    if token == 0 or token & 1 << 30:  # parking::not_in_tokens: the owner before has unlocked it
        return "somebody who has just taken it"
    if token & 1 << 31:
        record = static("turnkey::parking::(anonymous namespace)::registry")["all"]
        record = load(record)
        while int(record) != 0:
            if int(record["token_"]) == token:
                return f"thread {int(record['last_thread_'])}"
            record = record["next_"]
        return "a thread which has ended"
    for goroutine in goroutines():
        if int(goroutine.record["token_"]) == token:
            return goroutine.describe()
    return "a goroutine which has ended"


def waiters_of(head):
    """The controls in a parking::wait_queue, first to last."""
    found, waiter = [], head
    while int(waiter) != 0 and len(found) < 10_000:
        found.append(waiter)
        waiter = waiter["next_"]
        if int(waiter) == int(head):
            break
    return found


def counted(number, noun):
    return f"{number} {noun}" + ("" if number == 1 else "s")


def readers_on_cpus(cells):
    """The sum of an rw_mutex's reader_cells."""
    cell = gdb.lookup_type("unsigned int").pointer()
    cpus = int(static("turnkey::reader_cells::cpus"))
    return sum(int(gdb.Value(int(cells) + cpu * PER_CPU_STRIDE).cast(cell).dereference()) for cpu in range(cpus))


def describe_lock(core, has_readers):
    state = int(load(core["state_"]))
    if has_readers and state % READER == 0:  # spread: nobody waits, and queue_ is where its readers are counted
        readers = (state // READER + readers_on_cpus(core["queue_"])) & 0xffffffff
        return "held by " + counted(readers, "reader") if readers else "free"
    if state >= READER:
        text = "held by " + counted(state // READER, "reader")
    elif state & HELD:
        text = "held by " + describe_owner(int(load(core["owner_"])))
    else:
        text = "free"
    waiting = len(waiters_of(core["queue_"])) + (1 if state & AWAKE else 0)
    return text + (f", {counted(waiting, 'waiter')}" if waiting else "")


def describe_channel(core):
    word = int(load(core["state_"]))
    text = f"{word // UNIT} of {int(core['capacity_'])}" + (", closed" if word & CLOSED else "")
    for name in ("senders", "receivers"):
        waiting = len(waiters_of(core[f"{name}_"]))
        if waiting:
            text += f", {counted(waiting, name[:-1])} waiting"
    return text


class Printer:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        try:
            return self.describe()
        except (gdb.GdbError, gdb.error, RuntimeError) as error:
            return f"<{error}>"


class LockPrinter(Printer):
    def describe(self):
        return describe_lock(self.value["core_"], self.value.type.strip_typedefs().unqualified().name == "turnkey::rw_mutex")


class WaitGroupPrinter(Printer):
    def describe(self):
        counter = int(load(self.value["state_"])) >> 32
        counter -= (counter & 1 << 31) << 1
        waiting = len(waiters_of(self.value["queue_"]))
        return f"counter {counter}" + (f", {counted(waiting, 'waiter')}" if waiting else "")


class ChannelPrinter(Printer):
    def describe(self):
        core = self.value["core_"]
        return describe_channel(core.dereference()) if int(core) != 0 else "nil channel"


printers = gdb.printing.RegexpCollectionPrettyPrinter("turnkey")
printers.add_printer("lock", r"^turnkey::(rw_)?mutex$", LockPrinter)
printers.add_printer("wait_group", r"^turnkey::wait_group$", WaitGroupPrinter)
printers.add_printer("chan", r"^turnkey::(chan|sender|receiver)<.*>$", ChannelPrinter)
gdb.printing.register_pretty_printer(None, printers, replace=True)
