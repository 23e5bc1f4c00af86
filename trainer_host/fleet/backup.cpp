#include "trainer_host/fleet/backup.hpp"

#include <sys/stat.h>

#include <system_error>

#include "protocol/base/durable_file.hpp"
#include "trainer_host/fleet/daemon.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {
namespace fs = std::filesystem;
namespace {

Status copy_blob(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_hard_link(from, to, error);  // blobs never change
  if (!error) return {};
  fs::copy_file(from, to, error);
  if (!error) return {};
  return fail(error == std::errc::no_space_on_device ? ErrorCode::no_space : ErrorCode::io,
              "copying " + from.string() + ": " + error.message());
}

Status copy_blobs(const fs::path& from, const fs::path& to) {
  for (const auto& folder : fs::directory_iterator(from)) {
    if (!folder.is_directory()) continue;
    fs::create_directories(to / folder.path().filename());
    for (const auto& blob : fs::directory_iterator(folder)) {
      if (blob.path().has_extension() || !blob.is_regular_file()) continue;  // uploads, half here
      OUTCROP_CHECK(copy_blob(blob.path(), to / folder.path().filename() / blob.path().filename()));
    }
  }
  return {};
}

Status copy_state(const StateFolder& from, const StateFolder& to) {
  // The database first: blobs come before what names them, and stay.
  OUTCROP_TRY(registry, open_sqlite_registry(from.registry()));
  OUTCROP_CHECK(registry->back_up(to.registry()));
  try {
    fs::create_directory(to.blobs());
    if (fs::exists(from.blobs())) OUTCROP_CHECK(copy_blobs(from.blobs(), to.blobs()));
    if (fs::exists(from.broker())) {
      fs::copy(from.broker(), to.broker(), fs::copy_options::recursive);
    }
  } catch (const fs::filesystem_error& error) {
    return fail(error.code() == std::errc::no_space_on_device ? ErrorCode::no_space : ErrorCode::io,
                error.what());
  }
  return {};
}

}  // namespace

Status back_up_state(const fs::path& state, const fs::path& to) {
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
  Status status = copy_state(from, {staged});
  if (status) status = publish_folder(staged, target);
  if (!status) fs::remove_all(staged, error);
  return status;
}

}  // namespace outcrop::fleet
