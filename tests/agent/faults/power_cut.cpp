#include "tests/agent/faults/power_cut.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace outcrop {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void put(const fs::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

std::uint64_t inode_of(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

fs::path kept(const fs::path& synced, std::uint64_t inode) {
  return synced / std::to_string(inode);
}

using Names = std::map<std::string, std::uint64_t>;

Names names_in(const fs::path& folder) {
  Names names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    names[entry.path().filename().string()] = inode_of(entry.path());
  }
  return names;
}

void keep_names(const fs::path& folder, std::uint64_t inode, const fs::path& synced) {
  std::ostringstream list;
  for (const auto& [name, of] : names_in(folder)) list << of << ' ' << name << '\n';
  put(kept(synced, inode), list.str());
}

Names read_names(const fs::path& list) {
  Names names;
  std::ifstream stream(list);
  std::uint64_t inode = 0;
  for (std::string name; stream >> inode && stream.ignore() && std::getline(stream, name);) {
    names[name] = inode;
  }
  return names;
}

// All files that are there, by inode: those that were never synced have nothing else.
using Contents = std::map<std::uint64_t, std::string>;

class Cut {
 public:
  Cut(fs::path synced, Contents now, std::uint64_t seed)
      : synced_(std::move(synced)), now_(std::move(now)), random_(seed) {}

  void leave(const fs::path& was, const fs::path& into, std::uint64_t inode) {
    fs::create_directory(into);
    const bool by_itself = random_() % 2 == 0;
    const Names names = by_itself ? names_in(was) : read_names(kept(synced_, inode));
    for (const auto& [name, of] : names) {
      if (fs::is_directory(was / name) && inode_of(was / name) == of) {
        leave(was / name, into / name, of);
      } else {
        put(into / name, left_of(of));
      }
    }
  }

 private:
  std::string left_of(std::uint64_t inode) {
    if (fs::exists(kept(synced_, inode))) return content(kept(synced_, inode));
    std::string torn = now_[inode];
    const std::size_t whole = torn.empty() ? 0 : random_() % torn.size();
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(whole), torn.end(), '\0');
    return torn;
  }

  fs::path synced_;
  Contents now_;
  std::mt19937_64 random_;
};

}  // namespace

void keep_synced(int fd, const fs::path& synced) {
  struct stat info {};
  std::error_code error;
  const fs::path path = fs::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
  if (error || ::fstat(fd, &info) != 0) return;
  if (S_ISDIR(info.st_mode)) {
    keep_names(path, info.st_ino, synced);
  } else {
    put(kept(synced, info.st_ino), content(path));
  }
}

void keep_all_synced(const fs::path& folder, const fs::path& synced) {
  fs::create_directories(synced);
  keep_names(folder, inode_of(folder), synced);
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::uint64_t inode = inode_of(entry.path());
    if (entry.is_directory()) {
      keep_names(entry.path(), inode, synced);
    } else if (entry.is_regular_file()) {
      put(kept(synced, inode), content(entry.path()));
    }
  }
}

void cut_power(const fs::path& folder, const fs::path& synced, std::uint64_t seed) {
  Contents now;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) now[inode_of(entry.path())] = content(entry.path());
  }
  const fs::path before = folder.string() + ".before";
  const fs::path after = folder.string() + ".after";
  fs::remove_all(after);
  Cut(synced, std::move(now), seed).leave(folder, after, inode_of(folder));
  fs::rename(folder, before);
  fs::rename(after, folder);
  fs::remove_all(before);
  // Keys stay keys.
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder / "identity", ignored)) {
    fs::permissions(entry.path(), fs::perms::owner_read | fs::perms::owner_write, ignored);
  }
}

}  // namespace outcrop
