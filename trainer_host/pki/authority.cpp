#include "trainer_host/pki/authority.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/private_file.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/names.hpp"
#include "trainer_host/pki/x509.hpp"

namespace outcrop::pki {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view key_file = "authority.key";
constexpr std::string_view certificate_file = "authority.pem";
constexpr std::string_view list_file = "revoked.pem";
constexpr std::string_view entries_file = "revoked.json";
constexpr ByteCount longest_list = ByteCount::mib(16);
constexpr std::size_t longest_reason = 1024;
constexpr std::size_t most_entries = 100'000;

struct Entry {
  std::string serial;
  std::string common_name;
  std::string reason;
  Timestamp time;
};

Result<std::vector<Entry>> read_entries(const fs::path& folder) {
  const fs::path path = folder / entries_file;
  std::error_code error;
  if (!fs::exists(path, error)) return std::vector<Entry>();
  OUTCROP_TRY(text, read_text_file(path, longest_list));
  OUTCROP_TRY(json, messages::parse_object(text, longest_list, path.string()));
  messages::ObjectReader reader(json, path.string());
  std::vector<Entry> entries;
  reader.objects("revoked", 0, most_entries, [&](messages::ObjectReader& object) {
    Entry entry;
    entry.serial = object.text("serial");
    entry.common_name = object.text("common_name");
    entry.reason = object.text("reason", longest_reason);
    entry.time = object.time("time");
    object.done();
    entries.push_back(std::move(entry));
  });
  reader.done();
  OUTCROP_CHECK(reader.status());
  return entries;
}

Status write_entries(const fs::path& folder, const std::vector<Entry>& entries) {
  nlohmann::json list = nlohmann::json::array();
  for (const Entry& entry : entries) {
    list.push_back({{"serial", entry.serial},
                    {"common_name", entry.common_name},
                    {"reason", entry.reason},
                    {"time", to_rfc3339(entry.time)}});
  }
  const auto text = json_text(nlohmann::json{{"revoked", list}}, 2);
  return write_file_durably(folder / entries_file, text);
}

Result<std::string> make_list(const std::vector<Entry>& entries, const trust::PrivateKey& key,
                              const std::string& certificate) {
  std::vector<RevokedSerial> serials;
  for (const Entry& entry : entries) serials.push_back({entry.serial, entry.time});
  return make_revocation_list(serials, key, certificate);
}

Status check_common_name(std::string_view name) {
  const bool printable =
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return c >= ' ' && c < 0x7f; });
  if (name.empty() || name.size() > 64 || !printable) {
    return fail(ErrorCode::invalid_argument, "'" + std::string(name) +
                                                 "' cannot be a common name: 1 to 64 printable "
                                                 "characters");
  }
  return {};
}

Status check_reason(std::string_view reason) {
  const bool printable = std::none_of(reason.begin(), reason.end(),
                                      [](unsigned char c) { return c < ' ' || c == 0x7f; });
  if (printable && !reason.empty() && reason.size() <= longest_reason) return {};
  return fail(ErrorCode::invalid_argument,
              "a reason is a line of 1 to 1024 bytes without control characters");
}

}  // namespace

Result<Authority> Authority::open_or_make(const fs::path& folder, std::string_view common_name) {
  std::error_code error;
  if (fs::exists(folder / certificate_file, error)) return open(folder);
  OUTCROP_CHECK(check_common_name(common_name));
  OUTCROP_CHECK(make_private_folder(folder));
  OUTCROP_TRY(lock, lock_file(folder / "lock", 0600));
  if (fs::exists(folder / certificate_file, error)) return open(folder);  // another was faster
  // The key of a call that was killed before its certificate is used: nothing is signed by it yet.
  if (!fs::exists(folder / key_file, error)) {
    OUTCROP_TRY(made, trust::PrivateKey::generate());
    OUTCROP_CHECK(made.write_pem(folder / key_file));
  }
  OUTCROP_TRY(key, trust::PrivateKey::read_pem(folder / key_file));
  OUTCROP_TRY(certificate, make_authority_certificate(common_name, key));
  OUTCROP_TRY(list, make_list({}, key, certificate));
  OUTCROP_CHECK(write_file_durably(folder / list_file, list));
  OUTCROP_CHECK(write_file_durably(folder / certificate_file, certificate));
  return Authority(folder, std::move(key), std::move(certificate));
}

Result<Authority> Authority::open(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder / certificate_file, error)) {
    return fail(ErrorCode::not_found,
                folder.string() + " holds no certificate authority (authority.pem is missing)");
  }
  OUTCROP_TRY(certificate, read_text_file(folder / certificate_file, longest_certificate));
  auto info = read_certificate(certificate);
  if (!info) return fail(info.error().context((folder / certificate_file).string()));
  OUTCROP_TRY(key, trust::PrivateKey::read_pem(folder / key_file));
  if (info->key != key.public_key()) {
    return fail(ErrorCode::untrusted, folder.string() +
                                          ": authority.key is not the key of authority.pem; "
                                          "restore the two from the same backup");
  }
  return Authority(folder, std::move(key), std::move(certificate));
}

Result<std::string> Authority::issue(const Subject& subject, const trust::PublicKey& key) const {
  OUTCROP_CHECK(check_common_name(subject.common_name));
  LeafProfile profile{subject.common_name, subject.usage == Usage::server,
                      subject.alternative_names};
  if (subject.usage == Usage::client) {
    if (!subject.alternative_names.empty()) {
      return fail(ErrorCode::invalid_argument, "a client has no names but its common name");
    }
    // "outcropd:host" is no DNS name.
    if (messages::is_name(subject.common_name)) {
      profile.alternative_names.push_back(subject.common_name);
    }
  }
  return make_leaf_certificate(profile, key, key_, certificate_);
}

Result<std::string> Authority::revoke(std::string_view certificate_pem, std::string_view reason,
                                      Timestamp now) const {
  OUTCROP_CHECK(check_reason(reason));
  OUTCROP_CHECK(check_issued_by(certificate_pem, certificate_));
  OUTCROP_TRY(info, read_certificate(certificate_pem));
  OUTCROP_TRY(lock, lock_file(folder_ / "lock", 0600));
  OUTCROP_TRY(entries, read_entries(folder_));
  const bool listed = std::any_of(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.serial == info.serial; });
  if (!listed) {
    entries.push_back({info.serial, info.common_name, std::string(reason), now});
    OUTCROP_CHECK(write_entries(folder_, entries));
  }
  // Also where it was listed: a call may have been killed between the two files.
  OUTCROP_TRY(list, make_list(entries, key_, certificate_));
  OUTCROP_CHECK(write_file_durably(folder_ / list_file, list));
  return list;
}

Result<bool> Authority::is_revoked(std::string_view certificate_pem) const {
  OUTCROP_TRY(info, read_certificate(certificate_pem));
  OUTCROP_TRY(entries, read_entries(folder_));
  return std::any_of(entries.begin(), entries.end(),
                     [&](const Entry& entry) { return entry.serial == info.serial; });
}

Result<std::string> Authority::revocation_list() const {
  OUTCROP_TRY(entries, read_entries(folder_));
  // Ed25519 signs without chance: the same entries give the same bytes as the file.
  return make_list(entries, key_, certificate_);
}

}  // namespace outcrop::pki
