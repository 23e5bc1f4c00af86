#include "trainer_host/trainer/data/staged_dataset.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/base/vacant_folder.hpp"
#include "trainer_host/trainer/data/npy.hpp"

namespace outcrop::data {
namespace fs = std::filesystem;
namespace {

Status write_at(int fd, BytesView bytes, std::size_t offset, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(Error::from_errno("writing " + path.string()));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::size_t>(written);
  }
  return {};
}

// Asked before anything is written: a data set that cannot fit must not fill the disk first.
Status check_space(const fs::path& folder, std::size_t samples, const Geometry& geometry) {
  const ByteCount needed(samples * (geometry.map_size() + geometry.gather_size()) * sizeof(float));
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error) return fail(ErrorCode::io, "asking for the space of " + folder.string());
  if (space.available >= needed.value()) return {};
  return fail(ErrorCode::no_space, std::to_string(samples) + " samples need " + needed.human() +
                                       "; there are " + ByteCount(space.available).human() +
                                       " free at " + folder.string());
}

// Claims the disk space now: better no data set than none after a night.
Status reserve(int fd, std::size_t size, const fs::path& path) {
  int failed = 0;
  do {
    failed = ::fallocate(fd, 0, 0, static_cast<off_t>(size));
  } while (failed != 0 && errno == EINTR);
  if (failed != 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) failed = ::ftruncate(fd, static_cast<off_t>(size));
  if (failed == 0) return {};
  return fail(Error::from_errno("reserving " + ByteCount(size).human() + " for " + path.string()));
}

Status check_free(const fs::path& out) {
  if (is_vacant(out)) return {};
  return fail(ErrorCode::already_exists,
              out.string() +
                  " exists already and is not an empty folder; remove it or choose "
                  "another place");
}

fs::path part_name(const fs::path& name) {
  fs::path part = name;
  part += ".part";
  return part;
}

std::pair<fs::path, fs::path> pair_names(Naming naming, std::size_t index) {
  if (naming == Naming::vel_seis) {
    const std::string tail = "4_1_" + std::to_string(index) + ".npy";
    return {"vel" + tail, "seis" + tail};
  }
  const std::string tail = std::to_string(index + 1) + ".npy";
  return {fs::path("model") / ("model" + tail), fs::path("data") / ("data" + tail)};
}

}  // namespace

StagedDataset::StagedDataset(fs::path out, std::size_t samples_per_file, const Geometry& geometry)
    : out_(std::move(out)), samples_per_file_(samples_per_file), geometry_(geometry) {
  fs::path beside = out_;
  folder_ = filling_place(out_, beside += ".incomplete");
}

StagedDataset::StagedDataset(StagedDataset&& other) noexcept
    : out_(std::move(other.out_)),
      folder_(std::exchange(other.folder_, {})),
      samples_per_file_(other.samples_per_file_),
      geometry_(other.geometry_),
      lock_(std::move(other.lock_)),
      velocity_(std::move(other.velocity_)),
      gathers_(std::move(other.gathers_)) {}

StagedDataset::~StagedDataset() {
  std::error_code ignored;
  if (lock_ && !folder_.empty()) fs::remove_all(folder_, ignored);
}

Result<StagedDataset> StagedDataset::create(const fs::path& out, std::size_t samples,
                                            std::size_t samples_per_file, Naming naming,
                                            const Geometry& geometry) {
  // "out/" and "out" are the same place; a folder beside it needs the latter.
  const fs::path place = out.has_filename() ? out : out.parent_path();
  if (place.empty()) {
    return fail(ErrorCode::invalid_argument, "'" + out.string() + "' names no folder to make");
  }
  StagedDataset staged(place, samples_per_file, geometry);
  OUTCROP_CHECK(check_free(place));
  OUTCROP_CHECK(staged.claim());
  OUTCROP_CHECK(check_space(staged.folder_, samples, geometry));
  OUTCROP_CHECK(staged.create_files(samples, naming));
  return staged;
}

Status StagedDataset::claim() {
  std::error_code error;
  if (out_.has_parent_path()) fs::create_directories(out_.parent_path(), error);
  if (!error) fs::create_directory(folder_, error);
  if (error) return fail(ErrorCode::io, "creating " + folder_.string() + ": " + error.message());
  UniqueFd lock(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock) return fail(Error::from_errno("opening " + folder_.string()));
  struct stat opened {};
  struct stat named {};
  if (::fstat(lock.get(), &opened) != 0) {
    return fail(Error::from_errno("opening " + folder_.string()));
  }
  const std::string refusal = "another process is writing to " + out_.string() +
                              "; wait for it or choose another place";
  OUTCROP_TRY(held, try_lock_open_file(std::move(lock), folder_, refusal));
  // The second look: the other process may have finished and renamed it in between.
  if (::stat(folder_.c_str(), &named) != 0 || opened.st_ino != named.st_ino) {
    return fail(ErrorCode::refused, refusal);
  }
  lock_ = std::move(held);
  for (const auto& left : fs::directory_iterator(folder_, error)) {
    fs::remove_all(left.path(), error);
  }
  if (error) return fail(ErrorCode::io, "emptying " + folder_.string() + ": " + error.message());
  return {};
}

Status StagedDataset::create_files(std::size_t samples, Naming naming) {
  if (naming == Naming::model_data) {
    for (const char* name : {"model", "data"}) {
      std::error_code error;
      fs::create_directory(folder_ / name, error);
      if (error) return fail(ErrorCode::io, "creating " + folder_.string() + "/" + name);
    }
  }
  for (std::size_t first = 0; first < samples; first += samples_per_file_) {
    const std::size_t count = std::min(samples_per_file_, samples - first);
    const auto [velocity, gathers] = pair_names(naming, first / samples_per_file_);
    OUTCROP_TRY(maps, create_part(velocity, {count, 1, geometry_.depth, geometry_.width}));
    OUTCROP_TRY(shots, create_part(gathers, {count, geometry_.shots, geometry_.times,
                                             geometry_.width}));
    velocity_.push_back(std::move(maps));
    gathers_.push_back(std::move(shots));
  }
  return {};
}

Result<StagedDataset::Part> StagedDataset::create_part(const fs::path& name,
                                                       std::vector<std::size_t> shape) {
  const fs::path path = folder_ / part_name(name);
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) return fail(Error::from_errno("creating " + path.string()));
  const Bytes header = npy_header(shape);
  OUTCROP_TRY(count, element_count(shape));
  OUTCROP_CHECK(reserve(fd.get(), header.size() + count * sizeof(float), path));
  OUTCROP_CHECK(write_at(fd.get(), header, 0, path));
  return Part{name, header.size()};
}

Status StagedDataset::write(const Part& part, std::size_t offset,
                            std::span<const float> values) const {
  const fs::path path = folder_ / part_name(part.path);
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return fail(Error::from_errno("opening " + path.string()));
  return write_at(fd.get(), std::as_bytes(values), part.header_size + offset * sizeof(float), path);
}

Status StagedDataset::write_velocity(std::size_t sample, std::span<const float> velocity) const {
  const std::size_t one = geometry_.map_size();
  return write(velocity_.at(sample / samples_per_file_), sample % samples_per_file_ * one,
               velocity.first(one));
}

Status StagedDataset::write_gather(std::size_t sample, std::size_t shot,
                                   std::span<const float> gather) const {
  const std::size_t one = geometry_.shot_size();
  return write(gathers_.at(sample / samples_per_file_),
               sample % samples_per_file_ * geometry_.gather_size() + shot * one, gather.first(one));
}

Status StagedDataset::complete() {
  for (const auto* parts : {&velocity_, &gathers_}) {
    for (const Part& part : *parts) {
      const fs::path name = folder_ / part.path;
      if (::rename(part_name(name).c_str(), name.c_str()) != 0) {
        return fail(Error::from_errno("renaming to " + name.string()));
      }
    }
  }
  return {};
}

Status StagedDataset::publish() {
  // An empty folder may have come to stand at the final place; rmdir leaves any other, and the
  // one that this set was made in.
  ::rmdir(out_.c_str());
  OUTCROP_CHECK(publish_folder(folder_, out_));
  folder_.clear();
  return {};
}

}  // namespace outcrop::data
