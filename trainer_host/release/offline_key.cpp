#include "trainer_host/release/offline_key.hpp"

#include <openssl/evp.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>

#include "protocol/base/durable_file.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/token_key.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t longest = 1024;
constexpr const char* variable = "OUTCROP_PASSPHRASE_FILE";

Result<std::string> from_file(const fs::path& file) {
  return read_secret_file(file, variable);
}
bool has_terminal() {
  return ::access("/dev/tty", R_OK | W_OK) == 0 && (::isatty(STDIN_FILENO) != 0 || ::isatty(STDERR_FILENO) != 0);
}

// What is typed without being shown; `again`: twice the same.
Result<std::string> type_in(const std::string& prompt, bool again) {
  std::array<char, longest> typed{};
  const int failed = ::EVP_read_pw_string_min(typed.data(), again ? static_cast<int>(shortest_passphrase) : 0, typed.size() - 1, (prompt + ": ").c_str(), again ? 1 : 0);
  std::string secret(typed.data());
  ::OPENSSL_cleanse(typed.data(), typed.size());
  if (failed != 0) return fail(ErrorCode::refused, prompt + ": nothing was typed, or not the same twice (" + std::to_string(shortest_passphrase) + " characters at least)");
  return secret;
}

// `again`: a new one, typed twice.
Result<std::string> ask(const std::string& prompt, bool again) {
  if (const char* file = std::getenv(variable); file != nullptr && *file != '\0') {
    OUTCROP_TRY(passphrase, from_file(file));
    if (again && passphrase.size() < shortest_passphrase) {
      return fail(ErrorCode::invalid_argument, prompt + " (" + file + ") has " + std::to_string(passphrase.size()) + " characters; " +
                                                   std::to_string(shortest_passphrase) + " at least would be right");
    }
    return passphrase;
  }
  if (!has_terminal()) {
    return fail(ErrorCode::refused, prompt + " cannot be asked for, as there is no terminal: put it into a file that only you may read, and its name into " + variable);
  }
  return type_in(prompt, again);
}

// Those that opened a key in this program: the next key is likely to have the same.
std::vector<std::string>& known() {
  static std::vector<std::string> passphrases;
  return passphrases;
}

struct Opened {
  trust::PrivateKey key;
  std::string passphrase;  // "" where it was not encrypted
};

Result<Opened> open(const fs::path& file) {
  std::string used;  // stays empty where the key is not encrypted: nothing is asked for then
  for (const std::string& passphrase : known()) {
    auto key = trust::PrivateKey::read_pem(file, [&](const fs::path&) -> Result<std::string> { return used = passphrase; });
    if (key) return Opened{std::move(*key), used};
    if (key.error().code() != ErrorCode::untrusted) return fail(std::move(key).error());
  }
  OUTCROP_TRY(key, trust::PrivateKey::read_pem(file, [&](const fs::path&) -> Result<std::string> {
    OUTCROP_TRY(passphrase, ask("The passphrase of " + file.string(), false));
    return used = std::move(passphrase);
  }));
  if (!used.empty()) known().push_back(used);
  return Opened{std::move(key), std::move(used)};
}

}  // namespace

Result<std::string> read_secret_file(const fs::path& file, const std::string& named_by) {
  const std::string where = named_by + " (" + file.string() + ")";
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return fail(Error::from_errno("opening " + where));
  if ((info.st_mode & 077) != 0) return fail(ErrorCode::untrusted, where + ": others than its owner may use it; chmod 600 it");
  OUTCROP_TRY(text, read_text_file(file, ByteCount(longest)));
  text.resize(std::min(text.find('\n'), text.size()));
  if (text.empty()) return fail(ErrorCode::invalid_data, where + ": its first line, the secret, is empty");
  return text;
}

Result<std::string> ask_pin(const std::string& token) {
  static std::map<std::string, std::string> typed;
  const auto known_pin = typed.find(token);
  if (known_pin != typed.end()) return known_pin->second;
  const std::string prompt = "The PIN of the token '" + token + "'";
  if (!has_terminal()) {
    return fail(ErrorCode::refused, prompt + " cannot be asked for, as there is no terminal: put it into a file that only you may read, and name that by ?pin-source=file:… in the URI");
  }
  OUTCROP_TRY(pin, type_in(prompt, false));
  typed.emplace(token, pin);
  return pin;
}

Result<trust::PrivateKey> read_offline_key(const fs::path& file) {
  OUTCROP_TRY(opened, open(file));
  return std::move(opened.key);
}

Status write_like(const trust::PrivateKey& key, const fs::path& path, const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return key.write_pem(path);  // a role that had no key yet
  OUTCROP_TRY(opened, open(file));
  return key.write_pem(path, opened.passphrase);
}

Result<trust::PublicKey> make_offline_key(const fs::path& file, bool encrypted) {
  std::string passphrase;
  if (encrypted) {
    OUTCROP_TRY(asked, ask("A passphrase for " + file.string(), true));
    passphrase = std::move(asked);
  }
  OUTCROP_TRY(key, trust::PrivateKey::generate());
  OUTCROP_CHECK(key.write_pem(file, passphrase));
  return key.public_key();
}

Result<std::vector<fs::path>> encrypt_offline_keys(const fs::path& folder) {
  const KeyStorePaths paths(folder);
  std::vector<std::pair<fs::path, trust::PrivateKey>> keys;
  for (const char* role : {"root", "targets"}) {
    const fs::path file = paths.offline_key(role);
    if (token_uri(file)) continue;
    std::error_code error;
    if (!fs::exists(file, error)) {
      return fail(ErrorCode::not_found, file.string() + " is not here: bring the offline keys back to " + folder.string() + " first");
    }
    OUTCROP_TRY(key, read_offline_key(file));
    keys.emplace_back(file, std::move(key));
  }
  if (keys.empty()) return fail(ErrorCode::refused, "the offline keys of " + folder.string() + " are on tokens, which keep them");
  OUTCROP_TRY(passphrase, ask("A new passphrase for the offline keys", true));
  std::vector<fs::path> files;
  for (const auto& [file, key] : keys) {
    const fs::path next = file.string() + ".encrypted";
    std::error_code error;
    fs::remove(next, error);  // of a call that was cut off
    OUTCROP_CHECK(key.write_pem(next, passphrase));
    fs::rename(next, file, error);
    if (error) return fail(ErrorCode::io, file.string() + ": " + error.message());
    OUTCROP_CHECK(sync_folder(file.parent_path()));
    files.push_back(file);
  }
  return files;
}

}  // namespace outcrop::release
