#include "trainer_host/fleet/metadata/director.hpp"

#include <span>

#include "protocol/base/version.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::fleet {
namespace {

// A board that misses one is sent it again: long enough for clocks that differ, and too short for
// whoever keeps it.
constexpr std::chrono::hours command_validity{24};

}  // namespace

bool Director::signs_for(const Device& board) const {
  const auto since = roles_().director_since();
  if (!since) return false;
  // It signs what it says by what its root says: it has that root.
  if (board.signs) return true;
  return board.status && board.status->speaks >= signed_since &&
         board.status->root_version >= *since;
}

Result<std::string> Director::write(const Device& board, const messages::Command& command) const {
  if (!signs_for(board)) return messages::to_json(command);
  auto key = trust::PrivateKey::read_pem(key_);
  if (!key) return fail(key.error().context("the key of the director"));
  const auto& root = roles_().root();
  if (!root.signers(trust::director_role).keys.contains(key->public_key().id())) {
    return fail(ErrorCode::untrusted, "[trust] director_key " + key_.string() +
                                          " is not the one that root " +
                                          std::to_string(root->version) + " names");
  }
  const std::string text = messages::to_json(messages::SignedCommand{
      board.name, clock_->now() + command_validity, command});
  return trust::sign_envelope(messages::command_kind, as_bytes(text), std::span(&*key, 1));
}

}  // namespace outcrop::fleet
