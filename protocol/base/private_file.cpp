#include "protocol/base/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop {
namespace fs = std::filesystem;

Status write_private_file(const fs::path& path, std::string_view text) {
  return write_file_durably(path, [&](const fs::path& temporary) -> Status {
    ::unlink(temporary.c_str());  // of a killed process that had our number
    const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) return fail(Error::from_errno("creating " + temporary.string()));
    while (!text.empty()) {
      const ssize_t written = ::write(fd.get(), text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return fail(Error::from_errno("writing " + path.string()));
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  });
}

Status make_private_folder(const fs::path& folder) {
  std::error_code error;
  if (fs::is_directory(folder, error)) return {};
  const fs::path parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  if (!fs::is_directory(parent, error)) OUTCROP_CHECK(make_private_folder(parent));
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Error::from_errno("making the folder " + folder.string()));
  }
  return sync_folder(parent);
}

}  // namespace outcrop
