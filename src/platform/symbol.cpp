#include "platform/symbol.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace turnkey::platform {

namespace {

// A file that is mapped into the process, and its symbol table: the one for debuggers, which knows local functions and
// those of a program that exports nothing, where dladdr() does not.
struct module {
  std::uintptr_t base = 0;
  const char* path = nullptr;  // the loader's; "" for the program
  const char* name = nullptr;
  const std::byte* file = nullptr;
  std::size_t size = 0;
  std::span<const Elf64_Sym> symbols;
  std::span<const char> names;

  void open() noexcept;
  [[nodiscard]] const char* name_at(std::uintptr_t offset) const noexcept;

 private:
  void find_symbols() noexcept;
  template <typename T>
  [[nodiscard]] std::span<const T> part(std::uint64_t offset, std::uint64_t bytes) const noexcept {
    if (offset > size || bytes > size - offset || offset % alignof(T) != 0) return {};
    return {reinterpret_cast<const T*>(file + offset), bytes / sizeof(T)};
  }
};

const char* without_folder(const char* path) noexcept {
  const char* const slash = std::strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

const char* program_name() noexcept {
  static constinit char path[512] = {};
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
  if (size <= 0) return "program";
  path[size] = '\0';
  return without_folder(path);
}

void module::open() noexcept {
  const bool is_program = *path == '\0';
  name = is_program ? program_name() : without_folder(path);
  const int descriptor = ::open(is_program ? "/proc/self/exe" : path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  struct stat information {};
  if (fstat(descriptor, &information) == 0 && information.st_size > 0) {
    size = static_cast<std::size_t>(information.st_size);
    void* const mapping = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapping != MAP_FAILED) {
      file = static_cast<const std::byte*>(mapping);
      find_symbols();
    }
  }
  close(descriptor);
}

void module::find_symbols() noexcept {
  const auto header = part<Elf64_Ehdr>(0, sizeof(Elf64_Ehdr));
  if (header.empty() || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0 ||
      header[0].e_ident[EI_CLASS] != ELFCLASS64) {
    return;
  }
  const auto sections = part<Elf64_Shdr>(header[0].e_shoff, header[0].e_shnum * sizeof(Elf64_Shdr));
  const Elf64_Shdr* table = nullptr;
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type == SHT_SYMTAB || (section.sh_type == SHT_DYNSYM && table == nullptr)) table = &section;
  }
  if (table == nullptr || table->sh_link >= sections.size()) return;
  const Elf64_Shdr& strings = sections[table->sh_link];
  names = part<char>(strings.sh_offset, strings.sh_size);
  if (names.empty() || names.back() != '\0') return;
  symbols = part<Elf64_Sym>(table->sh_offset, table->sh_size);
}

const char* module::name_at(std::uintptr_t offset) const noexcept {
  for (const Elf64_Sym& candidate : symbols) {
    if (ELF64_ST_TYPE(candidate.st_info) == STT_FUNC && candidate.st_shndx != SHN_UNDEF &&
        offset - candidate.st_value < candidate.st_size && candidate.st_name < names.size()) {
      return names.data() + candidate.st_name;
    }
  }
  return nullptr;
}

// The modules met so far. A program with more just has its other modules opened again and again.
constexpr std::size_t most_modules = 64;
constinit module modules[most_modules] = {};
constinit std::size_t module_count = 0;

struct search {
  std::uintptr_t address;
  std::uintptr_t base = 0;
  const char* path = nullptr;
};

int look_into(dl_phdr_info* information, std::size_t /*size*/, void* raw) noexcept {
  auto& wanted = *static_cast<search*>(raw);
  for (int i = 0; i < information->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = information->dlpi_phdr[i];
    if (segment.p_type == PT_LOAD && wanted.address - (information->dlpi_addr + segment.p_vaddr) < segment.p_memsz) {
      wanted.base = information->dlpi_addr;
      wanted.path = information->dlpi_name;
      return 1;
    }
  }
  return 0;
}

module* module_of(const search& found) noexcept {
  for (std::size_t i = 0; i < module_count; ++i) {
    // The path as well: a module may have been unloaded, and another be where it was.
    if (modules[i].base == found.base && modules[i].path == found.path) return &modules[i];
  }
  if (module_count == most_modules) {
    if (modules[most_modules - 1].file != nullptr) {
      munmap(const_cast<std::byte*>(modules[most_modules - 1].file), modules[most_modules - 1].size);
    }
    --module_count;
  }
  module& added = modules[module_count++];
  added = {};
  added.base = found.base;
  added.path = found.path;
  added.open();
  return &added;
}

// A dump of many goroutines asks for the same few addresses again and again.
struct remembered {
  std::uintptr_t address = 0;
  symbol answer;
};
constinit remembered memory[1024] = {};

}  // namespace

namespace {

// What inline functions of public headers consist of goes by their names, which are those that people know.
const char* public_name(const char* name) noexcept {
  static constexpr struct {
    std::string_view inside;
    const char* outside;
  } all[] = {
      {"_ZN7turnkey5mutex9do_unlockEv", "_ZN7turnkey5mutex6unlockEv"},
      {"_ZN7turnkey8rw_mutex9do_unlockEv", "_ZN7turnkey8rw_mutex6unlockEv"},
      {"_ZN7turnkey8rw_mutex16do_unlock_sharedEv", "_ZN7turnkey8rw_mutex13unlock_sharedEv"},
  };
  for (const auto& each : all) {
    if (name != nullptr && name == each.inside) return each.outside;
  }
  return name;
}

}  // namespace

symbol find_symbol(std::uintptr_t address) noexcept {
  remembered& slot = memory[address % std::size(memory)];
  if (slot.address == address && address != 0) return slot.answer;
  symbol answer{.name = nullptr, .module = nullptr, .offset = address};
  search wanted{.address = address};
  if (dl_iterate_phdr(look_into, &wanted) != 0 && wanted.path != nullptr) {
    const module& found = *module_of(wanted);
    answer.module = found.name;
    answer.offset = address - wanted.base;
    answer.name = found.name_at(answer.offset);
  }
  if (answer.name == nullptr) {
    Dl_info information{};
    if (dladdr(reinterpret_cast<void*>(address), &information) != 0) answer.name = information.dli_sname;
  }
  answer.name = public_name(answer.name);
  slot = {.address = address, .answer = answer};
  return answer;
}

}  // namespace turnkey::platform
