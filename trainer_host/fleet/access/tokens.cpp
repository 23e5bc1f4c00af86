#include "trainer_host/fleet/access/tokens.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/hex.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::fleet {
namespace {

using TokenJson = nlohmann::json;

constexpr std::string_view secret_prefix = "oct_";
constexpr std::array<std::string_view, 3> roles{"viewer", "operator", "admin"};

bool is_token_name(const std::string& name) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

Result<Token> token_of(const TokenJson& json) {
  const auto text = [&](const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string()
               ? json[key].get<std::string>()
               : std::string();
  };
  const auto role = role_from(text("role"));
  if (!role || !is_token_name(text("name"))) {
    return fail(ErrorCode::invalid_data, "each token has a name and a role");
  }
  OUTCROP_TRY(hash, trust::Sha256Digest::from_hex(text("sha256")));
  OUTCROP_TRY(made, from_rfc3339(text("made")));
  return Token{text("name"), *role, hash, made};
}

}  // namespace

std::string_view to_string(Role role) {
  return roles[static_cast<std::size_t>(role)];
}

std::optional<Role> role_from(std::string_view text) {
  const auto* const found = std::find(roles.begin(), roles.end(), text);
  if (found == roles.end()) return std::nullopt;
  return static_cast<Role>(found - roles.begin());
}

Result<Tokens> Tokens::open(std::filesystem::path file) {
  Tokens tokens(std::move(file));
  std::error_code error;
  if (!std::filesystem::exists(tokens.file_, error)) return tokens;
  OUTCROP_TRY(text, read_text_file(tokens.file_));
  const TokenJson json = TokenJson::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) {
    return fail(ErrorCode::invalid_data, tokens.file_.string() + " is no list of tokens");
  }
  for (const TokenJson& one : json) {
    auto token = token_of(one);
    if (!token) return fail(token.error().context(tokens.file_.string()));
    tokens.tokens_.push_back(std::move(*token));
  }
  return tokens;
}

Status Tokens::save(std::vector<Token> tokens) {
  TokenJson json = TokenJson::array();
  for (const Token& one : tokens) {
    json.push_back({{"name", one.name},
                    {"role", to_string(one.role)},
                    {"sha256", one.hash.hex()},
                    {"made", to_rfc3339(one.made)}});
  }
  OUTCROP_CHECK(write_file_durably(file_, json_text(json, 1) + "\n"));
  const std::scoped_lock lock(*mutex_);
  tokens_ = std::move(tokens);
  return {};
}

std::vector<Token> Tokens::all() const {
  const std::scoped_lock lock(*mutex_);
  return tokens_;
}

Result<std::string> Tokens::add(const std::string& name, Role role, Timestamp now) {
  if (!is_token_name(name)) {
    return fail(ErrorCode::invalid_argument,
                "a token's name is 1 to 63 letters, digits, '.', '_' and '-', not '" + name + "'");
  }
  for (const Token& one : tokens_) {
    if (one.name != name) continue;
    return fail(ErrorCode::already_exists,
                "there is a token '" + name + "': remove it first, or use another name");
  }
  std::array<std::byte, 32> random{};
  if (RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), random.size()) != 1) {
    return fail(ErrorCode::internal, "the system gives no random numbers");
  }
  const std::string secret = std::string(secret_prefix) + to_hex(random);
  std::vector<Token> more = tokens_;
  more.push_back({name, role, trust::sha256(secret), now});
  OUTCROP_CHECK(save(std::move(more)));
  return secret;
}

Status Tokens::remove(const std::string& name) {
  std::vector<Token> fewer = tokens_;
  std::erase_if(fewer, [&](const Token& one) { return one.name == name; });
  if (fewer.size() == tokens_.size()) {
    return fail(ErrorCode::not_found, "there is no token '" + name + "'");
  }
  return save(std::move(fewer));
}

std::optional<Token> Tokens::of(std::string_view secret) const {
  const trust::Sha256Digest hash = trust::sha256(secret);
  std::optional<Token> found;
  const std::scoped_lock lock(*mutex_);
  for (const Token& one : tokens_) {
    if (CRYPTO_memcmp(one.hash.bytes().data(), hash.bytes().data(), trust::Sha256Digest::size) == 0) {
      found = one;
    }
  }
  return found;
}

}  // namespace outcrop::fleet
