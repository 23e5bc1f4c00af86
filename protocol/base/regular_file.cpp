#include "protocol/base/regular_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

namespace outcrop {

Result<UniqueFd> open_regular_file(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail(Error::from_errno("opening " + path.string()));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail(Error::from_errno("reading " + path.string()));
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::invalid_data, path.string() + " is not a regular file");
  }
  return fd;
}

}  // namespace outcrop
