#pragma once

namespace outcrop {

// While it lives, this process meets a file system such as NFS without its lock daemon, FUSE or
// 9p: renames with a flag end in EINVAL, flock in ENOLCK. Linking it replaces both functions of
// the C library in the test; without an object of this they do what they always do.
class PlainFileSystem {
 public:
  PlainFileSystem();
  PlainFileSystem(const PlainFileSystem&) = delete;
  PlainFileSystem& operator=(const PlainFileSystem&) = delete;
  ~PlainFileSystem();
};

}  // namespace outcrop
