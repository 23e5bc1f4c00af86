#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace outcrop::runtime {

// What remains possible with a file, or with a folder and all beneath it.
enum class FileAccess {
  read,   // and list
  run,    // and read
  write,  // and read, make, move, remove files and folders: nothing that misleads whoever comes
          // later (links by name, pipes, sockets, devices), and no running
};
struct FilePermission {
  std::filesystem::path path;
  FileAccess access = FileAccess::read;
};

// Why this kernel has no Landlock; empty where it has.
[[nodiscard]] std::string lacks_landlock();

// Forbids this thread and those it starts to open, make or change any file but those that are
// permitted, to connect or bind TCP sockets, to trace and, from ABI 6 on, to signal processes
// that are not confined as they are. Landlock never guards modes, owners and times of files,
// nor, before ABI 3, their lengths. Needs no_new_privs. Empty on success, else the reason.
[[nodiscard]] std::string forbid_files_by_landlock(
    const std::vector<FilePermission>& permitted = {});

// Moves this single-threaded process into namespaces of its own whose only file system is empty
// and read-only. Empty on success, else the reason.
[[nodiscard]] std::string leave_files_by_namespace();

}  // namespace outcrop::runtime
