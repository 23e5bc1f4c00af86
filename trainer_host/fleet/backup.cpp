#include "trainer_host/fleet/backup.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <system_error>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"
#include "trainer_host/fleet/state_folder.hpp"

namespace outcrop::fleet {
namespace fs = std::filesystem;
namespace {

// By reference where the file system can (reflink), which takes no room.
bool clone(const fs::path& from, const fs::path& to) {
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  return source && target && ::ioctl(target.get(), FICLONE, source.get()) == 0;
}

Status copy_blob(const fs::path& from, const fs::path& to) {
  if (clone(from, to)) return {};
  std::error_code error;
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
  if (!error) return {};
  return fail(error == std::errc::no_space_on_device ? ErrorCode::no_space : ErrorCode::io,
              "copying " + from.string() + ": " + error.message());
}

// Returns those that are not what their names say.
Result<std::vector<fs::path>> copy_blobs(const BlobStore& from, const BlobStore& to) {
  std::vector<fs::path> damaged;
  OUTCROP_TRY(all, from.list());
  for (const trust::Sha256Digest& blob : all) {
    fs::create_directories(to.file(blob).parent_path());
    OUTCROP_CHECK(copy_blob(from.file(blob), to.file(blob)));
    if (to.is_whole(blob)) continue;
    damaged.push_back(from.file(blob));
    fs::remove(to.file(blob));
  }
  return damaged;
}

// Each file as of one moment; what comes after is missing, as from any backup. One that is removed for its age meanwhile is gone.
Status copy_history(const fs::path& from, const fs::path& to) {
  if (!fs::exists(from)) return {};
  fs::create_directories(to);
  for (const auto& file : fs::directory_iterator(from)) {
    if (file.path().extension() != ".sqlite") continue;
    auto database = Database::open_for_reading(file.path());
    const Status copied = database ? database->back_up(to / file.path().filename()) : Status(fail(database.error()));
    if (!copied && fs::exists(file.path())) return fail(copied.error().context(file.path().string()));
  }
  return {};
}

Result<std::vector<fs::path>> copy_state(const StateFolder& from, const StateFolder& to) {
  // The database first: blobs come before what names them, and stay.
  OUTCROP_TRY(registry, read_sqlite_registry(from.registry()));
  OUTCROP_CHECK(registry->back_up(to.registry()));
  try {
    OUTCROP_TRY(copies, BlobStore::open(to.blobs()));
    std::vector<fs::path> damaged;
    if (fs::exists(from.blobs())) {
      OUTCROP_TRY(blobs, BlobStore::open(from.blobs()));
      OUTCROP_TRY(found, copy_blobs(blobs, copies));
      damaged = std::move(found);
    }
    OUTCROP_CHECK(copy_history(from.history(), to.history()));
    if (fs::exists(from.broker())) {
      fs::copy(from.broker(), to.broker(), fs::copy_options::recursive);
    }
    return damaged;
  } catch (const fs::filesystem_error& error) {
    return fail(error.code() == std::errc::no_space_on_device ? ErrorCode::no_space : ErrorCode::io,
                error.what());
  }
}

}  // namespace

Result<std::vector<fs::path>> back_up_state(const fs::path& state, const fs::path& to) {
  const StateFolder from{state};
  std::error_code error;
  if (!fs::exists(from.registry(), error)) {
    return fail(ErrorCode::not_found,
                state.string() + " is no state folder: it has no registry.sqlite");
  }
  const fs::path target = fs::absolute(to.has_filename() ? to : to.parent_path(), error);
  if (fs::exists(target, error)) {
    return fail(ErrorCode::already_exists, target.string() + " exists already; name a new folder");
  }
  std::string staged = (target.parent_path() / ".outcrop-backup-XXXXXX").string();
  if (::mkdtemp(staged.data()) == nullptr) {  // mode 0700: it holds the broker's keys
    return fail(Error::from_errno("making a folder in " + target.parent_path().string()));
  }
  auto damaged = copy_state(from, {staged});
  if (damaged) {
    if (auto published = publish_folder(staged, target); !published) {
      damaged = fail(std::move(published).error());
    }
  }
  if (!damaged) fs::remove_all(staged, error);
  return damaged;
}

}  // namespace outcrop::fleet
