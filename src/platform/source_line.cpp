// Source lines by libdw; see source_line.hpp.
//
// Its functions are declared here as its ABI has them, and looked up at the first use: a program needs neither its headers
// nor the library. The session is kept; modules that were loaded after it began are reported to it when an address of theirs
// comes up.
#include "platform/source_line.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <string_view>

#include "platform/environment.hpp"
#include "platform/report.hpp"
#include "platform/sanitizer.hpp"
#include "platform/stack_memory.hpp"

namespace turnkey::platform {

namespace {

// --- libdw ---------------------------------------------------------------------------------------------------------

struct dwfl;
struct dwfl_module;
struct dwfl_line;
struct dwarf_line;
struct dwarf_files;
struct dwarf_die {
  void* address;
  void* unit;
  void* abbreviation;
  long padding;
};
struct dwarf_attribute {
  unsigned code;
  unsigned form;
  unsigned char* value;
  void* unit;
};
using find_debug_file = int (*)(dwfl_module*, void**, const char*, std::uint64_t, const char*, const char*, unsigned,
                                char**);
struct dwfl_callbacks {
  int (*find_elf)(dwfl_module*, void**, const char*, std::uint64_t, char**, void**);
  find_debug_file find_debuginfo;
  int (*section_address)(dwfl_module*, void**, const char*, std::uint64_t, const char*, unsigned, const void*,
                         std::uint64_t*);
  char** debuginfo_path;
};

constexpr int tag_class = 0x02;
constexpr int tag_lexical_block = 0x0b;
constexpr int tag_structure = 0x13;
constexpr int tag_inlined_subroutine = 0x1d;
constexpr int tag_subprogram = 0x2e;
constexpr int tag_namespace = 0x39;
constexpr unsigned attribute_call_file = 0x58;
constexpr unsigned attribute_call_line = 0x59;
constexpr unsigned attribute_linkage_name = 0x6e;

struct libdw {
  dwfl* (*dwfl_begin)(const dwfl_callbacks*);
  void (*dwfl_report_begin_add)(dwfl*);
  int (*dwfl_linux_proc_report)(dwfl*, pid_t);
  int (*dwfl_report_end)(dwfl*, void*, void*);
  decltype(dwfl_callbacks::find_elf) dwfl_linux_proc_find_elf;
  find_debug_file dwfl_build_id_find_debuginfo;
  dwfl_module* (*dwfl_addrmodule)(dwfl*, std::uint64_t);
  dwarf_die* (*dwfl_module_addrdie)(dwfl_module*, std::uint64_t, std::uint64_t*);
  dwarf_die* (*dwfl_module_nextcu)(dwfl_module*, dwarf_die*, std::uint64_t*);
  int (*dwarf_haspc)(dwarf_die*, std::uint64_t);
  dwarf_line* (*dwarf_getsrc_die)(dwarf_die*, std::uint64_t);
  const char* (*dwarf_linesrc)(dwarf_line*, std::uint64_t*, std::uint64_t*);
  int (*dwarf_lineno)(dwarf_line*, int*);
  int (*dwarf_child)(dwarf_die*, dwarf_die*);
  int (*dwarf_siblingof)(dwarf_die*, dwarf_die*);
  std::ptrdiff_t (*dwarf_ranges)(dwarf_die*, std::ptrdiff_t, std::uint64_t*, std::uint64_t*, std::uint64_t*);
  int (*dwarf_tag)(dwarf_die*);
  const char* (*dwarf_diename)(dwarf_die*);
  dwarf_attribute* (*dwarf_attr)(dwarf_die*, unsigned, dwarf_attribute*);
  dwarf_attribute* (*dwarf_attr_integrate)(dwarf_die*, unsigned, dwarf_attribute*);
  const char* (*dwarf_formstring)(dwarf_attribute*);
  int (*dwarf_formudata)(dwarf_attribute*, std::uint64_t*);
  int (*dwarf_getsrcfiles)(dwarf_die*, dwarf_files**, std::size_t*);
  const char* (*dwarf_filesrc)(dwarf_files*, std::size_t, std::uint64_t*, std::uint64_t*);
  bool is_complete = true;

  template <typename Function>
  void find(void* library, const char* name, Function*& function) noexcept {
    function = reinterpret_cast<Function*>(dlsym(library, name));
    is_complete = is_complete && function != nullptr;
  }
  bool open() noexcept {
    void* const library = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      dlerror();  // frees the message
      return false;
    }
    find(library, "dwfl_begin", dwfl_begin);
    find(library, "dwfl_report_begin_add", dwfl_report_begin_add);
    find(library, "dwfl_linux_proc_report", dwfl_linux_proc_report);
    find(library, "dwfl_report_end", dwfl_report_end);
    find(library, "dwfl_linux_proc_find_elf", dwfl_linux_proc_find_elf);
    find(library, "dwfl_build_id_find_debuginfo", dwfl_build_id_find_debuginfo);
    find(library, "dwfl_addrmodule", dwfl_addrmodule);
    find(library, "dwfl_module_addrdie", dwfl_module_addrdie);
    find(library, "dwfl_module_nextcu", dwfl_module_nextcu);
    find(library, "dwarf_haspc", dwarf_haspc);
    find(library, "dwarf_getsrc_die", dwarf_getsrc_die);
    find(library, "dwarf_linesrc", dwarf_linesrc);
    find(library, "dwarf_lineno", dwarf_lineno);
    find(library, "dwarf_child", dwarf_child);
    find(library, "dwarf_siblingof", dwarf_siblingof);
    find(library, "dwarf_ranges", dwarf_ranges);
    find(library, "dwarf_tag", dwarf_tag);
    find(library, "dwarf_diename", dwarf_diename);
    find(library, "dwarf_attr", dwarf_attr);
    find(library, "dwarf_attr_integrate", dwarf_attr_integrate);
    find(library, "dwarf_formstring", dwarf_formstring);
    find(library, "dwarf_formudata", dwarf_formudata);
    find(library, "dwarf_getsrcfiles", dwarf_getsrcfiles);
    find(library, "dwarf_filesrc", dwarf_filesrc);
    return is_complete;
  }
};

constinit libdw dw{};
constinit dwfl* session = nullptr;

// --- the session ---------------------------------------------------------------------------------------------------

// Adds to what was reported before, and takes nothing away: names that have been looked up are kept as pointers into it.
bool report_modules() noexcept {
  dw.dwfl_report_begin_add(session);
  const bool is_done = dw.dwfl_linux_proc_report(session, getpid()) == 0;
  return dw.dwfl_report_end(session, nullptr, nullptr) == 0 && is_done;
}

bool begin_session() noexcept {
  enum { on, off };
  if (environment_choice("TURNKEY_SOURCE_LINES", {"on", "off"}, on) == off || is_asan || !dw.open()) {
    return false;  // LeakSanitizer faults at the end of some programs that have loaded libdw
  }
  static constinit char* no_path = nullptr;
  static constinit dwfl_callbacks callbacks{};
  callbacks = {
      .find_elf = dw.dwfl_linux_proc_find_elf,
      // The standard one asks a debuginfod server, if there is one. Even if there is none it begins with the whole of
      // libcurl and libcrypto, which crash when the program is just ending; and a report must not wait for a network.
      .find_debuginfo = dw.dwfl_build_id_find_debuginfo,
      .section_address = nullptr,
      .debuginfo_path = &no_path};
  session = dw.dwfl_begin(&callbacks);
  return session != nullptr && report_modules();
}

// libdw ends the program when it gets no memory, so it is asked only while there is plenty.
bool is_memory_plentiful() noexcept {
  constexpr std::size_t plenty = std::size_t{64} << 20;
  void* const memory = map_memory(plenty, pages::small);
  if (memory != nullptr) unmap_memory(memory, plenty);
  return memory != nullptr;
}

[[gnu::tls_model("initial-exec")]] constinit thread_local int suppressions = 0;

bool is_usable() noexcept {
  enum class state : unsigned char { untried, usable, unusable };
  static constinit state known = state::untried;
  if (known == state::unusable || suppressions != 0 || is_in_fault_handler() || !is_memory_plentiful()) return false;
  if (known == state::untried) known = begin_session() ? state::usable : state::unusable;
  return known == state::usable;
}

// --- functions -----------------------------------------------------------------------------------------------------

// The functions of one compilation unit. dwarf_getscopes() does not find those of lambdas in templates, which goroutines
// are made of: it looks for nothing in a function whose code is elsewhere.
class unit_functions {
 public:
  [[nodiscard]] bool is_of(const dwarf_die& unit) const noexcept { return unit_ == unit.address; }

  void read(dwarf_die& unit) noexcept {
    unit_ = unit.address;
    count_ = 0;
    add_all_in(unit);
  }

  // The one that has code at this address; null: none.
  [[nodiscard]] dwarf_die* find(std::uint64_t address) const noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
      if (ranges_[i].start <= address && address < ranges_[i].end) return &ranges_[i].function;
    }
    return nullptr;
  }

 private:
  struct range {
    std::uint64_t start;
    std::uint64_t end;
    dwarf_die function;
  };

  void add(dwarf_die& function) noexcept {
    std::uint64_t base = 0;
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    for (std::ptrdiff_t next = 0; (next = dw.dwarf_ranges(&function, next, &base, &start, &end)) > 0;) {
      if (count_ == capacity_) {
        const std::size_t wanted = capacity_ == 0 ? 1024 : capacity_ * 2;
        void* const larger = std::realloc(ranges_, wanted * sizeof(range));
        if (larger == nullptr) return;
        ranges_ = static_cast<range*>(larger);
        capacity_ = wanted;
      }
      ranges_[count_++] = {.start = start, .end = end, .function = function};
    }
  }

  void add_all_in(dwarf_die& outer) noexcept {  // recurses as deep as the source is nested
    dwarf_die inner;
    if (dw.dwarf_child(&outer, &inner) != 0) return;
    do {
      const int tag = dw.dwarf_tag(&inner);
      if (tag == tag_subprogram) add(inner);
      if (tag == tag_subprogram || tag == tag_class || tag == tag_structure || tag == tag_namespace ||
          tag == tag_lexical_block) {
        add_all_in(inner);
      }
    } while (dw.dwarf_siblingof(&inner, &inner) == 0);
  }

  void* unit_ = nullptr;
  range* ranges_ = nullptr;
  std::size_t count_ = 0;
  std::size_t capacity_ = 0;
};

// Of the units met last, each in a place of its own.
constinit unit_functions functions[16] = {};
constinit unsigned oldest_functions = 0;

unit_functions& functions_of(dwarf_die& unit) noexcept {
  for (unit_functions& known : functions) {
    if (known.is_of(unit)) return known;
  }
  unit_functions& read = functions[oldest_functions++ % std::size(functions)];
  read.read(unit);
  return read;
}

// The scopes around an address in a function, the outermost first.
struct scope_path {
  static constexpr int most = 32;
  dwarf_die at[most];
  int count = 0;

  void find(const dwarf_die& function, std::uint64_t address) noexcept {
    dwarf_die outer = function;
    for (bool is_deeper = true; is_deeper && count < most;) {
      at[count++] = outer;
      is_deeper = false;
      dwarf_die inner;
      if (dw.dwarf_child(&outer, &inner) != 0) return;
      do {
        const int tag = dw.dwarf_tag(&inner);
        is_deeper = (tag == tag_inlined_subroutine || tag == tag_lexical_block) && dw.dwarf_haspc(&inner, address) == 1;
      } while (!is_deeper && dw.dwarf_siblingof(&inner, &inner) == 0);
      outer = inner;
    }
  }
};

// --- looking up ----------------------------------------------------------------------------------------------------

dwarf_die* find_unit(dwfl_module* module, std::uint64_t address, std::uint64_t& bias) noexcept {
  if (dwarf_die* const unit = dw.dwfl_module_addrdie(module, address, &bias)) return unit;
  // Clang writes no table of addresses.
  dwarf_die* unit = nullptr;
  while ((unit = dw.dwfl_module_nextcu(module, unit, &bias)) != nullptr) {
    if (dw.dwarf_haspc(unit, address - bias) == 1) return unit;
  }
  return nullptr;
}

const char* name_of(dwarf_die& function) noexcept {
  dwarf_attribute memory;
  const char* const mangled = dw.dwarf_formstring(dw.dwarf_attr_integrate(&function, attribute_linkage_name, &memory));
  return mangled != nullptr ? mangled : dw.dwarf_diename(&function);
}

int number_of(dwarf_die& die, unsigned attribute) noexcept {
  dwarf_attribute memory;
  std::uint64_t value = 0;
  return dw.dwarf_formudata(dw.dwarf_attr(&die, attribute, &memory), &value) == 0 ? static_cast<int>(value) : 0;
}

// Local functions have no mangled name, but they lie where the others do.
bool is_of_library(const source_line& place) noexcept {
  if (place.file == nullptr || is_library_function(place.function)) return true;
  const std::string_view file(place.file);
  return file.find("/c++/") != std::string_view::npos || file.find("include/turnkey/") != std::string_view::npos;
}

void look_up(source_lines& found, std::uint64_t address) noexcept {
  dwfl_module* module = dw.dwfl_addrmodule(session, address);
  if (module == nullptr && report_modules()) module = dw.dwfl_addrmodule(session, address);
  if (module == nullptr) return;
  std::uint64_t bias = 0;
  dwarf_die* const unit = find_unit(module, address, bias);
  if (unit == nullptr) return;
  dwarf_line* const line = dw.dwarf_getsrc_die(unit, address - bias);
  if (line == nullptr) return;
  source_line place{.function = nullptr, .file = dw.dwarf_linesrc(line, nullptr, nullptr)};
  dw.dwarf_lineno(line, &place.line);

  scope_path path;
  if (const dwarf_die* const function = functions_of(*unit).find(address - bias)) path.find(*function, address - bias);
  dwarf_files* files = nullptr;
  for (int i = path.count - 1; i >= 0 && found.count < source_lines::most - 1; --i) {
    dwarf_die& scope = path.at[i];
    if (dw.dwarf_tag(&scope) != tag_inlined_subroutine) continue;
    place.function = name_of(scope);
    if (!is_of_library(place)) found.at[found.count++] = place;
    place = {};
    if (files != nullptr || dw.dwarf_getsrcfiles(unit, &files, nullptr) == 0) {
      const int file = number_of(scope, attribute_call_file);
      place.file = dw.dwarf_filesrc(files, static_cast<std::size_t>(file), nullptr, nullptr);
    }
    place.line = number_of(scope, attribute_call_line);
  }
  if (path.count != 0) place.function = name_of(path.at[0]);
  found.at[found.count++] = place;
}

// A dump of many goroutines asks for the same few addresses again and again.
struct remembered {
  std::uintptr_t address = 0;
  source_lines answer;
};
constinit remembered memory[256] = {};
constinit source_lines nothing{};

}  // namespace

bool is_library_function(const char* name) noexcept {
  if (name == nullptr) return false;
  const std::string_view all(name);
  for (const std::string_view prefix : {"_ZN7turnkey", "_ZNK7turnkey", "_ZZN7turnkey", "_ZZNK7turnkey", "_ZSt", "_ZNSt",
                                        "_ZNKSt", "_ZZNSt", "_ZZSt", "_ZN9__gnu_cxx"}) {
    if (all.starts_with(prefix)) return true;
  }
  return false;
}

const source_lines& find_source_lines(std::uintptr_t address) noexcept {
  remembered& slot = memory[address % std::size(memory)];
  if (slot.address == address && address != 0) return slot.answer;
  const int error = errno;
  if (!is_usable()) return nothing;
  slot.address = address;
  slot.answer = {};
  look_up(slot.answer, address);
  errno = error;
  return slot.answer;
}

without_source_lines::without_source_lines() noexcept { ++suppressions; }
without_source_lines::~without_source_lines() { --suppressions; }

}  // namespace turnkey::platform
