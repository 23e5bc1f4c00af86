#include "trainer_host/trainer/data/mapped_file.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

#include "protocol/base/regular_file.hpp"
#include "trainer_host/trainer/data/mapping_guard.hpp"

namespace outcrop::data {

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  OUTCROP_TRY(fd, open_regular_file(path));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail(Error::from_errno("reading " + path.string()));
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
