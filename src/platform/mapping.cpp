#include "platform/mapping.hpp"

#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <cstring>

#include "platform/stack_memory.hpp"

namespace turnkey::platform {

namespace {

struct visitor {
  void (*visit)(const mapping&, void*);
  void* argument;
  char program[4096];
};

constexpr std::size_t padded(std::size_t size) noexcept { return (size + 3) & ~std::size_t{3}; }

// In the notes that lie at `notes`: their sizes, a name and a content, each padded to four bytes.
std::span<const unsigned char> find_build_id(const unsigned char* notes, std::size_t size) noexcept {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes, sizeof note);
    const std::size_t begin = sizeof note + padded(note.n_namesz);
    const std::size_t whole = begin + padded(note.n_descsz);
    if (whole > size) break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(notes + sizeof note, "GNU", 4) == 0) {
      return {notes + begin, note.n_descsz};
    }
    notes += whole;
    size -= whole;
  }
  return {};
}

int visit_module(dl_phdr_info* information, std::size_t /*size*/, void* raw) noexcept {
  const auto& to = *static_cast<visitor*>(raw);
  mapping found;
  // The program's own name is empty, and it comes first.
  found.path = *information->dlpi_name != '\0' ? information->dlpi_name : to.program;
  const std::span segments(information->dlpi_phdr, information->dlpi_phnum);
  for (const ElfW(Phdr) & segment : segments) {
    if (segment.p_type != PT_NOTE || !found.build_id.empty()) continue;
    const auto* const notes = reinterpret_cast<const unsigned char*>(information->dlpi_addr + segment.p_vaddr);
    found.build_id = find_build_id(notes, segment.p_memsz);
  }
  for (const ElfW(Phdr) & segment : segments) {
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    // As the loader maps it: whole pages.
    const std::uintptr_t start = information->dlpi_addr + segment.p_vaddr;
    const std::uintptr_t into_page = start % page_size;
    found.start = start - into_page;
    found.limit = (start + segment.p_memsz + page_size - 1) / page_size * page_size;
    found.file_offset = segment.p_offset - into_page;
    to.visit(found, to.argument);
  }
  return 0;
}

}  // namespace

void for_each_mapping(void (*visit)(const mapping&, void*), void* argument) noexcept {
  visitor to{.visit = visit, .argument = argument, .program = {}};
  const ssize_t size = readlink("/proc/self/exe", to.program, sizeof to.program - 1);
  if (size > 0) to.program[size] = '\0';
  dl_iterate_phdr(visit_module, &to);
}

}  // namespace turnkey::platform
