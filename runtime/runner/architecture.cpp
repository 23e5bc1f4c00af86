#include "runtime/runner/architecture.hpp"

#include <elf.h>

#include <array>
#include <cstring>
#include <fstream>

namespace outcrop::runtime {

std::string architecture_of(const std::filesystem::path& program) {
  // The identification, the kind of file and the machine stand alike in 32 and 64 bit.
  constexpr std::size_t machine_at = EI_NIDENT + 2;
  std::array<unsigned char, machine_at + 2> head{};
  std::ifstream file(program, std::ios::binary);
  file.read(reinterpret_cast<char*>(head.data()), head.size());
  if (!file || std::memcmp(head.data(), ELFMAG, SELFMAG) != 0) return {};
  const bool little = head[EI_DATA] != ELFDATA2MSB;
  const unsigned machine = little ? head[machine_at] | head[machine_at + 1] << 8U
                                  : head[machine_at] << 8U | head[machine_at + 1];
  switch (machine) {
    case EM_X86_64:
      return "x86-64";
    case EM_AARCH64:
      return "aarch64";
    case EM_ARM:
      return "arm";
    case EM_386:
      return "x86";
    default:
      return "ELF machine " + std::to_string(machine);
  }
}

std::string own_architecture() {
  return architecture_of("/proc/self/exe");
}

}  // namespace outcrop::runtime
