#include "trainer_host/fleet/broker/device_authorities.hpp"

#include <algorithm>
#include <vector>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/openssl.hpp"
#include "trainer_host/pki/revocation_list.hpp"

namespace outcrop::fleet {
namespace {

namespace fs = std::filesystem;
using trust::Owned;

constexpr ByteCount longest_list = ByteCount::mib(16);

// One PEM block and nothing else: the files are put one behind the other for mosquitto.
template <class T, class Read, class Write>
Result<std::string> normalized(std::string_view pem, const char* what, Read read, Write write,
                               Owned<T>& parsed) {
  const Owned<BIO> in = trust::read_only_bio(pem);
  parsed.reset(read(in.get(), nullptr, trust::refuse_password, nullptr));
  const Owned<BIO> out(BIO_new(BIO_s_mem()));
  if (!parsed || !out || write(out.get(), parsed.get()) != 1) {
    return fail(ErrorCode::invalid_data,
                std::string("not ") + what + " in PEM: " + trust::openssl_reason());
  }
  return trust::text_of(out.get());
}

Result<std::string> read_list(std::string_view pem, Owned<X509_CRL>& list) {
  return normalized<X509_CRL>(pem, "a list of revoked certificates", PEM_read_bio_X509_CRL,
                              PEM_write_bio_X509_CRL, list);
}

// Below 0: `left` is older than `right`.
int compare_dates(const X509_CRL* left, const X509_CRL* right) {
  return ASN1_TIME_compare(X509_CRL_get0_lastUpdate(left), X509_CRL_get0_lastUpdate(right));
}

}  // namespace

Result<DeviceAuthorities::Change> DeviceAuthorities::add(std::string_view authority_pem,
                                                         std::string_view crl_pem) {
  Owned<X509> authority;
  OUTCROP_TRY(authority_text, (normalized<X509>(authority_pem, "a certificate", PEM_read_bio_X509,
                                                PEM_write_bio_X509, authority)));
  if (X509_check_ca(authority.get()) != 1) {
    return fail(ErrorCode::invalid_data, "the certificate is not that of an authority");
  }
  OUTCROP_TRY(info, trust::read_certificate(authority_text));
  Owned<X509_CRL> list;
  OUTCROP_TRY(list_text, read_list(crl_pem, list));
  OUTCROP_TRY(signed_list, pki::RevocationList::read(authority_text, list_text));

  const std::string name = info.key.id().hex();
  const fs::path authority_file = folder_ / (name + ".pem");
  const fs::path list_file = folder_ / (name + ".crl");
  Change change = Change::authority;
  std::error_code ignored;
  if (fs::exists(authority_file, ignored)) {
    OUTCROP_TRY(known_authority, read_text_file(authority_file));
    OUTCROP_TRY(known_text, read_text_file(list_file, longest_list));
    Owned<X509_CRL> known;
    OUTCROP_TRY(normal, read_list(known_text, known));
    const int age = compare_dates(list.get(), known.get());
    if (age < 0) {
      return fail(ErrorCode::expired,
                  "this list of revoked certificates is older than the one the broker has; take "
                  "the newest copy of the device authority");
    }
    if (known_authority == authority_text) {
      if (known_text == list_text) return Change::none;
      if (age > 0) change = Change::list;
    }
  }
  // The list first: an authority without one would let its revoked boards in.
  OUTCROP_CHECK(write_file_durably(list_file, list_text));
  OUTCROP_CHECK(write_file_durably(authority_file, authority_text));
  return change;
}

Result<bool> DeviceAuthorities::remove(const trust::KeyId& key) {
  const fs::path authority = folder_ / (key.hex() + ".pem");
  std::error_code error;
  // The authority first: one without its list would let its revoked boards in.
  const bool known = fs::remove(authority, error);
  if (!error) fs::remove(folder_ / (key.hex() + ".crl"), error);
  if (error) return fail(ErrorCode::io, authority.string() + ": " + error.message());
  if (known) OUTCROP_CHECK(sync_folder(folder_));
  return known;
}

Result<DeviceAuthorities::All> DeviceAuthorities::all() const {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    const bool hidden = entry->path().filename().string().starts_with('.');
    if (!hidden && entry->path().extension() == ".pem") files.push_back(entry->path());
  }
  if (error) return fail(ErrorCode::io, folder_.string() + ": " + error.message());
  std::sort(files.begin(), files.end());
  All all;
  for (fs::path file : files) {
    OUTCROP_TRY(authority, read_text_file(file));
    OUTCROP_TRY(list, read_text_file(file.replace_extension(".crl"), longest_list));
    all.authorities += authority;
    all.lists += list;
  }
  return all;
}

}  // namespace outcrop::fleet
