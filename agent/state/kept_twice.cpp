#include "agent/state/kept_twice.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include <spdlog/spdlog.h>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;

fs::path with_ending(const fs::path& path, const char* ending) {
  fs::path longer = path;
  longer += ending;
  return longer;
}

std::string name_of(const fs::path& file) {
  return file.filename().string();
}

// Reads that failed may succeed a moment later.
constexpr int most_attempts = 3;
constexpr std::chrono::milliseconds between_attempts{100};

Status take_patiently(const std::function<Status(const fs::path&)>& take, const fs::path& copy) {
  Status taken = take(copy);
  for (int i = 1; i < most_attempts && !taken && taken.error().code() == ErrorCode::io; ++i) {
    std::this_thread::sleep_for(between_attempts);
    taken = take(copy);
  }
  return taken;
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

}  // namespace

fs::path KeptTwice::spare() const {
  return with_ending(file_, ".spare");
}

Status KeptTwice::write_to(const fs::path& path, std::string_view text) const {
  return write_file_durably(path, [&](const fs::path& temporary) -> Status {
    // Made with its mode before anything is in it: a key is nobody else's for a moment either.
    const UniqueFd made(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode_));
    if (!made) return fail(Error::from_errno("creating " + temporary.string()));
    while (!text.empty()) {
      const ssize_t written = ::write(made.get(), text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return fail(Error::from_errno("writing " + temporary.string()));
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  });
}

Status KeptTwice::write(std::string_view text) const {
  OUTCROP_CHECK(write_to(file_, text));
  if (const Status status = write_to(spare(), text); !status) {
    spdlog::warn("keeping a spare: {}", status.error().message());
  }
  return {};
}

Result<KeptTwice::Reading> KeptTwice::read(
    const std::function<Status(const fs::path& copy)>& take) const {
  const Status first = take_patiently(take, file_);
  if (first) return Reading{file_, std::nullopt};
  if (first.error().code() == ErrorCode::unsupported) return fail(first.error());
  const Status second = take_patiently(take, spare());
  if (!second && second.error().code() == ErrorCode::unsupported) return fail(second.error());
  const bool missing = first.error().code() == ErrorCode::not_found;
  const bool unread = first.error().code() == ErrorCode::io;
  const std::string what =
      name_of(file_) + (missing  ? " is missing"
                        : unread ? " cannot be read (" + first.error().message() + ")"
                                 : " is damaged (" + first.error().message() + ")");
  if (second) return Reading{spare(), Error(first.error().code(), what + "; its spare is used")};
  if (unread) return fail(ErrorCode::io, what + ", and its spare is of no use");
  if (second.error().code() == ErrorCode::io) return fail(second.error().context(what));
  const bool no_spare = second.error().code() == ErrorCode::not_found;
  if (missing && no_spare) return Reading{};
  return Reading{std::nullopt,
                 Error(missing ? second.error().code() : first.error().code(),
                       what + (no_spare ? ", and it has no spare" : ", and so is its spare"))};
}

void KeptTwice::heal(const Reading& reading) const {
  std::optional<std::string> text;
  if (reading.copy) {
    if (auto read = read_text_file(*reading.copy)) text = std::move(*read);
  }
  for (const fs::path& copy : {file_, spare()}) {
    if (copy == reading.copy) continue;
    if (text) {
      if (const auto same = read_text_file(copy); same && *same == *text) continue;
    }
    // An older spare beside a good file is no damage.
    if (reading.trouble && is_there(copy)) {
      std::error_code error;
      fs::rename(copy, with_ending(copy, ".damaged"), error);
      if (error) spdlog::warn("setting {} aside: {}", copy.string(), error.message());
    }
    if (!text) continue;
    if (const Status status = write_to(copy, *text); !status) {
      spdlog::warn("mending {}: {}", copy.string(), status.error().message());
    }
  }
}

}  // namespace outcrop::agent
