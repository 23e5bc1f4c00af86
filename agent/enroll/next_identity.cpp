#include "agent/enroll/next_identity.hpp"

#include <sys/stat.h>

#include <cerrno>

#include "protocol/base/durable_file.hpp"
#include "protocol/messages/renewal.hpp"
#include "protocol/trust/certificate.hpp"

namespace outcrop::agent {
namespace fs = std::filesystem;

Status NextIdentity::begin() const {
  if (key()) return {};
  OUTCROP_CHECK(clear());
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Error::from_errno("making the folder " + folder_.string()));
  }
  OUTCROP_CHECK(sync_folder(folder_.parent_path()));
  OUTCROP_TRY(made, trust::PrivateKey::generate());
  OUTCROP_CHECK(made.write_pem(key_file()));
  return sync_folder(folder_);
}

std::optional<trust::PrivateKey> NextIdentity::key() const {
  auto key = trust::PrivateKey::read_pem(key_file());
  return key ? std::optional(std::move(*key)) : std::nullopt;
}

std::optional<std::string> NextIdentity::certificate() const {
  const auto own = key();
  auto pem = read_text_file(certificate_file(), messages::longest_certificate);
  if (!own || !pem) return std::nullopt;
  const auto certificate = trust::read_certificate(*pem);
  return certificate && certificate->key == own->public_key() ? std::optional(std::move(*pem)) : std::nullopt;
}

bool NextIdentity::is_known() const {
  std::error_code error;
  return fs::exists(mark(), error);
}

Status NextIdentity::take(std::string_view pem, std::string_view device) const {
  const auto own = key();
  if (!own) return fail(ErrorCode::refused, "this board asks for no certificate");
  if (certificate()) return fail(ErrorCode::refused, "this board has a new certificate already, and tries it");
  OUTCROP_TRY(certificate, trust::read_certificate(pem));
  if (certificate.key != own->public_key() || certificate.common_name != device) {
    return fail(ErrorCode::untrusted, "the certificate is for '" + certificate.common_name + "', or for another key than this board's next");
  }
  return write_file_durably(certificate_file(), pem);
}

Status NextIdentity::remove(const fs::path& file) const {
  std::error_code error;
  if (!fs::remove(file, error) && error) return fail(ErrorCode::io, "removing " + file.string() + ": " + error.message());
  return {};
}

Status NextIdentity::give_up() const {
  OUTCROP_CHECK(remove(certificate_file()));
  return sync_folder(folder_);
}

Status NextIdentity::become_known() const {
  return write_file_durably(mark(), std::string_view());
}

// The mark goes last: with it and without the rest there is nothing to take over.
Status NextIdentity::clear() const {
  for (const fs::path& file : {certificate_file(), key_file(), mark()}) OUTCROP_CHECK(remove(file));
  std::error_code ignored;
  fs::remove_all(folder_, ignored);  // with what a killed write left
  return {};
}

}  // namespace outcrop::agent
