#include "bench/instruction_counter.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

#include "protocol/base/unique_fd.hpp"

namespace outcrop::bench {

Result<InstructionCounter> InstructionCounter::open(const std::filesystem::path& page) {
  const UniqueFd file(::open(page.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(Error::from_errno("opening " + page.string()));
  struct stat about {};
  const bool whole = ::fstat(file.get(), &about) == 0 &&
                     about.st_size == static_cast<off_t>(sizeof(InstructionPage));
  void* mapped =
      whole ? ::mmap(nullptr, sizeof(InstructionPage), PROT_READ, MAP_SHARED, file.get(), 0)
            : MAP_FAILED;
  if (mapped == MAP_FAILED ||
      static_cast<InstructionPage*>(mapped)->mark != InstructionPage::expected_mark) {
    if (mapped != MAP_FAILED) ::munmap(mapped, sizeof(InstructionPage));
    return fail(ErrorCode::unsupported,
                page.string() +
                    " is no page of the instruction plugin: start this program by "
                    "qemu-aarch64 -plugin liboutcrop-instruction-plugin.so,page=FILE");
  }
  return InstructionCounter(static_cast<const volatile InstructionPage*>(mapped));
}

InstructionCounter::InstructionCounter(InstructionCounter&& other) noexcept
    : page_(std::exchange(other.page_, nullptr)) {}

InstructionCounter::~InstructionCounter() {
  if (page_ != nullptr) {
    ::munmap(const_cast<InstructionPage*>(page_), sizeof(InstructionPage));
  }
}

}  // namespace outcrop::bench
