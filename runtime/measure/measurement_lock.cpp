#include "runtime/measure/measurement_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

namespace outcrop::runtime {
namespace {

// Opens what is there before making it: in a folder where everybody may write, the kernel
// refuses O_CREAT on a file of another user (fs.protected_regular). Locking needs no write access.
UniqueFd open_lock_file(const std::filesystem::path& path) {
  constexpr int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (UniqueFd fd(::open(path.c_str(), O_RDONLY | flags)); fd || errno != ENOENT) return fd;
    if (UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | flags, 0666)); fd) {
      ::fchmod(fd.get(), 0666);  // for every user, whatever the mask
      return fd;
    }
    if (errno != EEXIST) return {};
  }
  return {};
}

// The holder leaves its number where it may write; only for the message.
std::string holder(int fd) {
  std::array<char, 32> text{};
  const ssize_t count = ::pread(fd, text.data(), text.size() - 1, 0);
  std::string number;
  for (ssize_t i = 0; i < count && text[static_cast<std::size_t>(i)] >= '0' &&
                      text[static_cast<std::size_t>(i)] <= '9';
       ++i) {
    number += text[static_cast<std::size_t>(i)];
  }
  return number.empty() ? "another process" : "process " + number;
}

void leave_number(const std::filesystem::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return;
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) == 0) {
    [[maybe_unused]] const ssize_t written = ::write(fd.get(), text.data(), text.size());
  }
}

}  // namespace

MeasurementLock::MeasurementLock(UniqueFd fd, std::filesystem::path path, std::string note)
    : fd_(std::move(fd)), path_(std::move(path)), note_(std::move(note)) {}

std::vector<std::filesystem::path> MeasurementLock::default_folders() {
  return {"/run/lock", "/tmp"};
}

Result<MeasurementLock> MeasurementLock::acquire(std::chrono::milliseconds patience,
                                                 const std::vector<std::filesystem::path>& folders,
                                                 const std::function<bool()>& stopped) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::string refusals;
  for (const auto& folder : folders) {
    const auto path = folder / file_name;
    UniqueFd fd = open_lock_file(path);
    if (!fd) {
      refusals += (refusals.empty() ? "" : "; ") + path.string() + ": " + std::strerror(errno);
      continue;
    }
    while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) {
        return fail(Error::from_errno("locking " + path.string()));
      }
      if (std::chrono::steady_clock::now() >= deadline) {
        return fail(ErrorCode::timeout,
                    holder(fd.get()) + " is measuring on this machine and holds " + path.string());
      }
      if (stopped && stopped()) {
        return fail(ErrorCode::interrupted, "nobody waits for " + path.string() + " any more");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    leave_number(path);
    std::string note;
    if (!refusals.empty()) {
      note = "measured under " + path.string() + ", since the usual lock could not be used (" +
             refusals + "): a process that can use it may have measured at the same time";
    }
    return MeasurementLock(std::move(fd), path, std::move(note));
  }
  return fail(ErrorCode::io, "no folder can hold the measurement lock: " + refusals);
}

}  // namespace outcrop::runtime
