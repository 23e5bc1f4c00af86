#include "trainer_host/trainer/data/known_datasets.hpp"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::data {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t coarsest_clock = 2 * second;  // FAT's
constexpr const char* format = "outcrop-known-dataset";

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * second + time.tv_nsec;
}

std::optional<fs::path> cache_of_user() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && fs::path(cache).is_absolute()) return fs::path(cache) / "outcrop" / "datasets";
  const char* home = std::getenv("HOME");
  if (home == nullptr || !fs::path(home).is_absolute()) return std::nullopt;
  return fs::path(home) / ".cache" / "outcrop" / "datasets";
}

nlohmann::ordered_json to_json(const std::string& key, const KnownDatasets::Known& known) {
  nlohmann::ordered_json json{
      {"format", format}, {"key", key}, {"warnings", known.warnings}, {"digest", known.digest}};
  json["check"] = trust::sha256(json_text(json)).hex();  // a changed bit must not become a digest
  return json;
}

}  // namespace

bool FileStamp::settled() const {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now) - std::max(modified, changed) >= coarsest_clock;
}

FileStamp stamp_of(const struct stat& info) {
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .size = static_cast<std::uint64_t>(info.st_size),
          .modified = nanoseconds(info.st_mtim),
          .changed = nanoseconds(info.st_ctim)};
}

Result<FileStamp> stamp_of(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return fail(Error::from_errno("reading " + path.string()));
  return stamp_of(info);
}

const KnownDatasets& KnownDatasets::of_user() {
  static const KnownDatasets known(cache_of_user());
  return known;
}

std::optional<KnownDatasets::Known> KnownDatasets::find(const std::string& key) const {
  if (!folder_) return std::nullopt;
  const auto text = read_text_file(*folder_ / (key + ".json"), ByteCount::mib(1));
  if (!text) return std::nullopt;
  try {
    const auto json = nlohmann::ordered_json::parse(*text);
    Known known{json.at("warnings").get<std::vector<std::string>>(),
                json.at("digest").get<std::string>()};
    if (json != to_json(key, known)) return std::nullopt;
    return known;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;  // damaged: read again, and written anew
  }
}

void KnownDatasets::remember(const std::string& key, const Known& known) const {
  if (!folder_) return;
  static std::atomic<bool> said = false;
  if (const Status written = write(key, known); !written && !said.exchange(true)) {
    std::fprintf(stderr, "note: data sets are read from end to end at every start: %s\n",
                 written.error().message().c_str());
    return;
  }
  remove_oldest();
}

Status KnownDatasets::write(const std::string& key, const Known& known) const {
  std::error_code error;
  fs::create_directories(*folder_, error);
  if (error) return fail(ErrorCode::io, "creating " + folder_->string() + ": " + error.message());
  return write_file_durably(*folder_ / (key + ".json"), json_text(to_json(key, known)) + "\n");
}

void KnownDatasets::remove_oldest() const {
  std::error_code error;
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  for (const auto& entry : fs::directory_iterator(*folder_, error)) {
    files.emplace_back(entry.last_write_time(error), entry.path());
  }
  if (files.size() <= most_files) return;
  std::sort(files.begin(), files.end());
  files.resize(files.size() - most_files);
  for (const auto& [written, path] : files) fs::remove(path, error);
}

}  // namespace outcrop::data
