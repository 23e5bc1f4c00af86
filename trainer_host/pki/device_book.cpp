#include "trainer_host/pki/device_book.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/base/private_file.hpp"
#include "protocol/messages/names.hpp"
#include "trainer_host/pki/x509.hpp"

namespace outcrop::pki {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view note_extension = ".replaces";

fs::path folder_of(const Authority& authority, const std::string& device) {
  return authority.folder() / "devices" / device;
}

Status check_name(const std::string& device) {
  if (messages::is_name(device)) return {};
  return fail(ErrorCode::invalid_argument,
              "'" + device + "' cannot be a device's name: 1 to 63 of a-z, 0-9 and -");
}

Result<std::vector<std::string>> certificates(const fs::path& folder) {
  std::vector<std::string> found;
  std::error_code error;
  if (!fs::exists(folder, error)) return found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const bool hidden = entry.path().filename().string().starts_with('.');
    if (hidden || entry.path().extension() != ".pem") continue;
    OUTCROP_TRY(pem, read_text_file(entry.path(), longest_certificate));
    found.push_back(std::move(pem));
  }
  if (error) return fail(ErrorCode::io, "listing " + folder.string() + ": " + error.message());
  return found;
}

// Of a certificate that took, or is to take, the place of another: that one.
Result<fs::path> note_of(const Authority& authority, const std::string& device, std::string_view certificate) {
  OUTCROP_CHECK(check_name(device));
  OUTCROP_TRY(info, read_certificate(certificate));
  return folder_of(authority, device) / (info.serial + std::string(note_extension));
}

}  // namespace

Status note_replacement(const Authority& authority, const std::string& device, std::string_view present, std::string_view next) {
  OUTCROP_TRY(before, read_certificate(present));
  OUTCROP_TRY(after, read_certificate(next));
  if (before.key == after.key) return {};
  OUTCROP_TRY(note, note_of(authority, device, next));
  return write_file_durably(note, present);
}

// The note goes last: what was cut off is done again, and revoking twice changes nothing.
Result<bool> revoke_replaced(const Authority& authority, const std::string& device, std::string_view present, Timestamp now) {
  OUTCROP_TRY(note, note_of(authority, device, present));
  const auto before = read_text_file(note, longest_certificate);
  if (!before && before.error().code() == ErrorCode::not_found) return false;
  if (!before) return fail(before.error());
  const auto revoked = authority.revoke(*before, "replaced", now);
  // Another authority gave it, whose list does not count here.
  if (!revoked && revoked.error().code() != ErrorCode::untrusted) return fail(revoked.error());
  std::error_code error;
  if (!fs::remove(note, error) && error) return fail(ErrorCode::io, "removing " + note.string() + ": " + error.message());
  return revoked.has_value();
}

Result<std::vector<std::string>> boards_with_replacements(const Authority& authority) {
  std::set<std::string> boards;
  std::error_code error;
  const fs::path all = authority.folder() / "devices";
  if (fs::exists(all, error)) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(all, error)) {
      if (entry.path().extension() == note_extension) boards.insert(entry.path().parent_path().filename());
    }
  }
  if (error) return fail(ErrorCode::io, "listing " + all.string() + ": " + error.message());
  return std::vector<std::string>(boards.begin(), boards.end());
}

Result<std::string> device_certificate(const Authority& authority, const std::string& device,
                                       const trust::PublicKey& key) {
  OUTCROP_CHECK(check_name(device));
  const fs::path folder = folder_of(authority, device);
  OUTCROP_CHECK(make_private_folder(folder));
  OUTCROP_TRY(lock, lock_file(folder / "lock", 0600));
  OUTCROP_TRY(earlier, certificates(folder));
  for (std::string& pem : earlier) {
    OUTCROP_TRY(info, read_certificate(pem));
    if (info.key != key) continue;
    OUTCROP_TRY(revoked, authority.is_revoked(pem));
    if (!revoked) return std::move(pem);
    return fail(ErrorCode::revoked,
                "this key of '" + device +
                    "' was revoked. On the board, remove identity/ in its state folder and "
                    "request again: that makes a new key");
  }
  OUTCROP_TRY(pem, authority.issue({device, {}, Authority::Usage::client}, key));
  OUTCROP_TRY(info, read_certificate(pem));
  OUTCROP_CHECK(write_file_durably(folder / (info.serial + ".pem"), pem));
  return pem;
}

Result<std::string> revoke_device(const Authority& authority, const std::string& device,
                                  std::string_view reason, Timestamp now) {
  OUTCROP_CHECK(check_name(device));
  OUTCROP_TRY(given, certificates(folder_of(authority, device)));
  if (given.empty()) {
    return fail(ErrorCode::not_found, "the device authority in " + authority.folder().string() +
                                          " has given no certificate to '" + device + "'");
  }
  std::string list;
  for (const std::string& pem : given) {
    OUTCROP_TRY(next, authority.revoke(pem, reason, now));
    list = std::move(next);
  }
  return list;
}

}  // namespace outcrop::pki
