#include "trainer_host/fleet/registry/file_in_place.hpp"

#include <sys/stat.h>

namespace outcrop::fleet {

Result<FileInPlace> FileInPlace::of(std::filesystem::path file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return fail(Error::from_errno("looking at " + file.string()));
  return FileInPlace(std::move(file), info.st_dev, info.st_ino);
}

Status FileInPlace::check() const {
  struct stat info {};
  const bool is_there = ::stat(file_.c_str(), &info) == 0;
  if (is_there && info.st_dev == device_ && info.st_ino == inode_) return {};
  return fail(ErrorCode::refused, file_.string() + (is_there ? " was replaced" : " was removed") +
                                      " under outcropd, which ends and reads it anew when it is started. To bring a backup back, stop it "
                                      "first (docs/fleet.md, section 8)");
}

}  // namespace outcrop::fleet
