#include "platform/redirect.hpp"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <string_view>

#include "platform/stack_memory.hpp"

namespace turnkey::platform {

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t type_of_call = R_X86_64_JUMP_SLOT;
constexpr std::uint32_t type_of_address = R_X86_64_GLOB_DAT;
#elif defined(__aarch64__)
constexpr std::uint32_t type_of_call = R_AARCH64_JUMP_SLOT;
constexpr std::uint32_t type_of_address = R_AARCH64_GLOB_DAT;
#endif

// What a module's dynamic section says of the tables that are wanted.
struct tables {
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  std::span<const ElfW(Rela)> of_addresses;
  std::span<const ElfW(Rela)> of_calls;
};

// The loader has added the module's base to the addresses in there; where it has not (the kernel's own module), there is
// nothing to find.
tables find_tables(const ElfW(Dyn) * entry, std::uintptr_t base) noexcept {
  tables found;
  std::uintptr_t addresses = 0;
  std::uintptr_t calls = 0;
  std::size_t size_of_addresses = 0;
  std::size_t size_of_calls = 0;
  for (; entry->d_tag != DT_NULL; ++entry) {
    switch (entry->d_tag) {
      case DT_SYMTAB: found.symbols = reinterpret_cast<const ElfW(Sym)*>(entry->d_un.d_ptr); break;
      case DT_STRTAB: found.names = reinterpret_cast<const char*>(entry->d_un.d_ptr); break;
      case DT_RELA: addresses = entry->d_un.d_ptr; break;
      case DT_RELASZ: size_of_addresses = entry->d_un.d_val; break;
      case DT_JMPREL: calls = entry->d_un.d_ptr; break;
      case DT_PLTRELSZ: size_of_calls = entry->d_un.d_val; break;
      default: break;
    }
  }
  if (reinterpret_cast<std::uintptr_t>(found.symbols) < base || reinterpret_cast<std::uintptr_t>(found.names) < base) {
    return {};
  }
  found.of_addresses = {reinterpret_cast<const ElfW(Rela)*>(addresses), size_of_addresses / sizeof(ElfW(Rela))};
  found.of_calls = {reinterpret_cast<const ElfW(Rela)*>(calls), size_of_calls / sizeof(ElfW(Rela))};
  return found;
}

struct work {
  std::span<const redirection> all;
  int count = 0;
};

// The loader may have made its page read-only (RELRO).
bool write_slot(std::uintptr_t slot, void* to, bool is_read_only) noexcept {
  void* const page = reinterpret_cast<void*>(slot / page_size * page_size);
  if (is_read_only && mprotect(page, page_size, PROT_READ | PROT_WRITE) != 0) return false;
  std::atomic_ref(*reinterpret_cast<void**>(slot)).store(to, std::memory_order_relaxed);
  if (is_read_only) mprotect(page, page_size, PROT_READ);
  return true;
}

int redirect_module(dl_phdr_info* module, std::size_t /*size*/, void* raw) noexcept {
  auto& to_do = *static_cast<work*>(raw);
  const std::uintptr_t base = module->dlpi_addr;
  const ElfW(Phdr)* dynamic = nullptr;
  std::uintptr_t read_only_from = 0;
  std::uintptr_t read_only_to = 0;
  for (const ElfW(Phdr) & segment : std::span(module->dlpi_phdr, module->dlpi_phnum)) {
    if (segment.p_type == PT_DYNAMIC) dynamic = &segment;
    if (segment.p_type == PT_GNU_RELRO) {
      read_only_from = base + segment.p_vaddr;
      read_only_to = (read_only_from + segment.p_memsz) / page_size * page_size;  // as the loader rounds it
    }
  }
  if (dynamic == nullptr) return 0;
  const tables found = find_tables(reinterpret_cast<const ElfW(Dyn)*>(base + dynamic->p_vaddr), base);
  for (const std::span<const ElfW(Rela)> relocations : {found.of_addresses, found.of_calls}) {
    for (const ElfW(Rela) & each : relocations) {
      const std::uint32_t type = ELF64_R_TYPE(each.r_info);
      if (type != type_of_call && type != type_of_address) continue;
      const std::string_view name = found.names + found.symbols[ELF64_R_SYM(each.r_info)].st_name;
      for (const redirection& one : to_do.all) {
        if (name != one.name) continue;
        const std::uintptr_t slot = base + each.r_offset;
        if (write_slot(slot, one.to, read_only_from <= slot && slot < read_only_to)) ++to_do.count;
      }
    }
  }
  return 0;
}

}  // namespace

int redirect_calls(std::span<const redirection> all) noexcept {
  work to_do{.all = all};
  dl_iterate_phdr(redirect_module, &to_do);
  return to_do.count;
}

}  // namespace turnkey::platform
