#include "trainer_host/release/token_key.hpp"

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include <array>
#include <memory>
#include <vector>

#include "protocol/base/durable_file.hpp"
#include "trainer_host/release/offline_key.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view scheme = "pkcs11:";
constexpr ByteCount largest_reference = ByteCount::kib(16);

struct FreeUri {
  void operator()(P11KitUri* uri) const { p11_kit_uri_free(uri); }
};
using Uri = std::unique_ptr<P11KitUri, FreeUri>;

std::string words_of(CK_RV code) {
  const char* words = p11_kit_strerror(code);
  return words == nullptr ? "error " + std::to_string(code) : words;
}

Result<Uri> parse_uri(const std::string& text) {
  Uri uri(p11_kit_uri_new());
  const int code = p11_kit_uri_parse(text.c_str(), P11_KIT_URI_FOR_ANY, uri.get());
  if (code != P11_KIT_URI_OK) {
    return fail(ErrorCode::invalid_data, "not a PKCS #11 URI (pkcs11:token=…;object=…): " + std::string(p11_kit_uri_message(code)));
  }
  if (p11_kit_uri_any_unrecognized(uri.get()) != 0) {
    return fail(ErrorCode::invalid_data, "the PKCS #11 URI has an attribute that is not known (RFC 7512)");
  }
  if (p11_kit_uri_get_pin_value(uri.get()) != nullptr) {
    return fail(ErrorCode::refused, "the PKCS #11 URI has a PIN in it, which others can read: name a file by pin-source, or be asked");
  }
  return uri;
}

// The modules that a URI names, initialized as long as this lives.
class Modules {
 public:
  [[nodiscard]] static Result<std::shared_ptr<Modules>> load(P11KitUri* uri) {
    auto modules = std::shared_ptr<Modules>(new Modules);
    const char* path = p11_kit_uri_get_module_path(uri);
    if (path == nullptr) {
      modules->all_ = p11_kit_modules_load_and_initialize(0);
      if (modules->all_ == nullptr) return fail(ErrorCode::unsupported, "PKCS #11 modules: " + std::string(p11_kit_message()));
      return modules;
    }
    CK_FUNCTION_LIST* one = p11_kit_module_load(path, 0);
    if (one == nullptr) return fail(ErrorCode::not_found, "the PKCS #11 module " + std::string(path) + ": " + p11_kit_message());
    modules->one_[0] = one;
    const CK_RV code = p11_kit_module_initialize(one);
    if (code != CKR_OK) return fail(ErrorCode::unsupported, "the PKCS #11 module " + std::string(path) + ": " + words_of(code));
    modules->initialized_ = true;
    return modules;
  }
  ~Modules() {
    if (all_ != nullptr) p11_kit_modules_finalize_and_release(all_);
    if (initialized_) p11_kit_module_finalize(one_[0]);
    if (one_[0] != nullptr) p11_kit_module_release(one_[0]);
  }
  Modules(const Modules&) = delete;
  Modules& operator=(const Modules&) = delete;
  [[nodiscard]] CK_FUNCTION_LIST** list() { return all_ != nullptr ? all_ : one_.data(); }

 private:
  Modules() = default;
  CK_FUNCTION_LIST** all_ = nullptr;
  std::array<CK_FUNCTION_LIST*, 2> one_{};
  bool initialized_ = false;
};

// One session of one token.
struct Session {
  std::shared_ptr<Modules> modules;
  CK_FUNCTION_LIST* module = nullptr;
  CK_SESSION_HANDLE handle = 0;
  std::string token;

  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    if (module != nullptr) module->C_CloseSession(handle);
  }
};

std::string label_of(const CK_TOKEN_INFO& info) {
  std::string label(reinterpret_cast<const char*>(info.label), sizeof info.label);
  label.erase(label.find_last_not_of(' ') + 1);
  return label;
}

struct Slot {
  CK_FUNCTION_LIST* module;
  CK_SLOT_ID id;
  std::string token;
};

std::vector<Slot> slots_of(Modules& modules, P11KitUri* uri) {
  std::vector<Slot> matching;
  for (CK_FUNCTION_LIST** module = modules.list(); *module != nullptr; ++module) {
    CK_ULONG count = 0;
    if ((*module)->C_GetSlotList(CK_TRUE, nullptr, &count) != CKR_OK || count == 0) continue;
    std::vector<CK_SLOT_ID> ids(count);
    if ((*module)->C_GetSlotList(CK_TRUE, ids.data(), &count) != CKR_OK) continue;
    ids.resize(count);
    for (const CK_SLOT_ID id : ids) {
      CK_TOKEN_INFO info{};
      if ((*module)->C_GetTokenInfo(id, &info) != CKR_OK || p11_kit_uri_match_token_info(uri, &info) != 1) continue;
      if ((info.flags & CKF_TOKEN_INITIALIZED) != 0) matching.push_back({*module, id, label_of(info)});
    }
  }
  return matching;
}

Result<std::shared_ptr<Session>> open_session(P11KitUri* uri) {
  OUTCROP_TRY(modules, Modules::load(uri));
  const std::vector<Slot> slots = slots_of(*modules, uri);
  if (slots.empty()) return fail(ErrorCode::not_found, "no token of the PKCS #11 URI is here");
  if (slots.size() > 1) return fail(ErrorCode::refused, "the PKCS #11 URI is of several tokens: name one by token=… or serial=…");
  auto session = std::make_shared<Session>();
  session->token = slots.front().token;
  const CK_RV code = slots.front().module->C_OpenSession(slots.front().id, CKF_SERIAL_SESSION, nullptr, nullptr, &session->handle);
  if (code != CKR_OK) return fail(ErrorCode::io, "the token '" + session->token + "': " + words_of(code));
  session->module = slots.front().module;
  session->modules = std::move(modules);
  return session;
}

Result<std::string> pin_for(P11KitUri* uri, const std::string& token, const AskPin& ask) {
  const char* source = p11_kit_uri_get_pin_source(uri);
  if (source == nullptr) return ask(token);
  std::string file(source);
  if (file.starts_with("file:")) file.erase(0, 5);
  while (file.starts_with("//")) file.erase(0, 1);
  return read_secret_file(file, "pin-source");
}

Status log_in(Session& session, P11KitUri* uri, const AskPin& ask) {
  OUTCROP_TRY(pin, pin_for(uri, session.token, ask));
  const CK_RV code = session.module->C_Login(session.handle, CKU_USER, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size());
  if (code == CKR_OK || code == CKR_USER_ALREADY_LOGGED_IN) return {};
  return fail(ErrorCode::untrusted, "the token '" + session.token + "' takes no login with this PIN: " + words_of(code));
}

// Those of a class that the URI's object and id name.
Result<std::vector<CK_OBJECT_HANDLE>> find_objects(Session& session, P11KitUri* uri, CK_OBJECT_CLASS kind) {
  std::vector<CK_ATTRIBUTE> wanted{{CKA_CLASS, &kind, sizeof kind}};
  for (const CK_ATTRIBUTE_TYPE type : {CKA_LABEL, CKA_ID}) {
    if (const CK_ATTRIBUTE* named = p11_kit_uri_get_attribute(uri, type)) wanted.push_back(*named);
  }
  CK_RV code = session.module->C_FindObjectsInit(session.handle, wanted.data(), wanted.size());
  std::array<CK_OBJECT_HANDLE, 2> found{};
  CK_ULONG count = 0;
  if (code == CKR_OK) {
    code = session.module->C_FindObjects(session.handle, found.data(), found.size(), &count);
    session.module->C_FindObjectsFinal(session.handle);
  }
  if (code != CKR_OK) return fail(ErrorCode::io, "the token '" + session.token + "': " + words_of(code));
  return std::vector<CK_OBJECT_HANDLE>(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count));
}

Result<CK_OBJECT_HANDLE> find_one(Session& session, P11KitUri* uri, CK_OBJECT_CLASS kind, const std::string& what) {
  OUTCROP_TRY(found, find_objects(session, uri, kind));
  if (found.size() == 1) return found.front();
  if (found.empty()) return fail(ErrorCode::not_found, "the token '" + session.token + "' has no " + what + " key of the PKCS #11 URI");
  return fail(ErrorCode::refused, "the token '" + session.token + "' has several " + what + " keys of the PKCS #11 URI: name one by object=… or id=…");
}

// CKA_EC_POINT: the key's 32 bytes, in a DER octet string or (some modules) as they are.
Result<trust::PublicKey> read_point(Session& session, CK_OBJECT_HANDLE object) {
  Bytes point(256);
  CK_ATTRIBUTE attribute{CKA_EC_POINT, point.data(), point.size()};
  const CK_RV code = session.module->C_GetAttributeValue(session.handle, object, &attribute, 1);
  const std::string where = "the token '" + session.token + "'";
  if (code != CKR_OK) return fail(ErrorCode::unsupported, where + " tells no public key of the PKCS #11 URI: " + words_of(code));
  point.resize(attribute.ulValueLen);
  constexpr std::array der{std::byte{0x04}, std::byte{trust::ed25519_key_size}};
  if (point.size() == der.size() + trust::ed25519_key_size && std::equal(der.begin(), der.end(), point.begin())) {
    point.erase(point.begin(), point.begin() + der.size());
  }
  auto key = trust::PublicKey::from_bytes(point);
  if (!key) return fail(key.error().context(where + ", whose key of the PKCS #11 URI is not Ed25519"));
  return key;
}

Result<Bytes> sign_on(const std::shared_ptr<Session>& session, CK_OBJECT_HANDLE key, BytesView message) {
  CK_MECHANISM mechanism{CKM_EDDSA, nullptr, 0};
  Bytes text(message.begin(), message.end());
  Bytes signature(trust::ed25519_signature_size);
  CK_ULONG length = signature.size();
  CK_RV code = session->module->C_SignInit(session->handle, &mechanism, key);
  if (code == CKR_OK) {
    code = session->module->C_Sign(session->handle, reinterpret_cast<CK_BYTE*>(text.data()), text.size(),
                                   reinterpret_cast<CK_BYTE*>(signature.data()), &length);
  }
  if (code != CKR_OK) {
    return fail(ErrorCode::unsupported, "the token '" + session->token + "' signs no Ed25519: " + words_of(code));
  }
  signature.resize(length);
  return signature;
}

}  // namespace

std::optional<std::string> token_uri(const std::string& reference) {
  if (reference.starts_with(scheme)) return reference;
  std::error_code error;
  if (!fs::is_regular_file(reference, error)) return std::nullopt;
  auto text = read_text_file(reference, largest_reference);
  if (!text || !text->starts_with(scheme)) return std::nullopt;
  text->resize(std::min(text->find('\n'), text->size()));
  return std::move(*text);
}

Result<SigningKey> open_token_key(const std::string& text, const AskPin& ask) {
  OUTCROP_TRY(uri, parse_uri(text));
  OUTCROP_TRY(session, open_session(uri.get()));
  OUTCROP_CHECK(log_in(*session, uri.get(), ask));
  OUTCROP_TRY(object, find_one(*session, uri.get(), CKO_PRIVATE_KEY, "private"));
  OUTCROP_TRY(public_object, find_one(*session, uri.get(), CKO_PUBLIC_KEY, "public"));
  OUTCROP_TRY(public_key, read_point(*session, public_object));
  return SigningKey(public_key, [session, object](BytesView message) { return sign_on(session, object, message); });
}

}  // namespace outcrop::release
