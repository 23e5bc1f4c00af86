#include "trainer_host/trainer/data/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

#include "trainer_host/trainer/data/mapping_guard.hpp"

namespace outcrop::data {

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  // O_NONBLOCK: a pipe that nobody writes to is refused, not waited for.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) {
    return fail(Error::from_errno("opening " + path.string()));
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::invalid_data, "reading " + path.string() + ": it is no regular file");
  }
  return map(fd, static_cast<std::size_t>(info.st_size), path);
}

Result<MappedFile> MappedFile::map(const UniqueFd& fd, std::size_t size,
                                   const std::filesystem::path& path) {
  if (size == 0) return MappedFile(nullptr, 0);
  void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return fail(Error::from_errno("mapping " + path.string()));
  guard_mapping(data, size, path);
  return MappedFile(data, size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  release_mapping(data_);
  ::munmap(data_, size_);
}

}  // namespace outcrop::data
