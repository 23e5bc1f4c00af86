#include "trainer_host/fleet/metadata/director.hpp"

#include <sys/stat.h>

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

Result<trust::PrivateKey> Director::read_key() {
  struct stat info {};
  if (::stat(key_.c_str(), &info) != 0) return trust::PrivateKey::read_pem(key_);  // which says why
  const KeyFile now{info.st_dev, info.st_ino, static_cast<std::uint64_t>(info.st_size), info.st_ctim.tv_sec, info.st_ctim.tv_nsec};
  if (read_ && read_from_ == now) return *read_;
  read_.reset();
  OUTCROP_TRY(key, trust::PrivateKey::read_pem(key_));
  read_from_ = now;
  return *(read_ = std::move(key));
}

Result<std::string> Director::write(const Device& board, const messages::Command& command, std::optional<Timestamp> until) {
  if (!signs_for(board)) return messages::to_json(command);
  OUTCROP_CHECK(check_clock_());
  auto key = read_key();
  if (!key) return fail(key.error().context("the key of the director"));
  const auto& root = roles_().root();
  if (!root.signers(trust::director_role).keys.contains(key->public_key().id())) {
    return fail(ErrorCode::untrusted, "[trust] director_key " + key_.string() +
                                          " is not the one that root " +
                                          std::to_string(root->version) + " names");
  }
  const std::string text = messages::to_json(messages::SignedCommand{
      board.name, until.value_or(clock_->now() + command_validity), command});
  return trust::sign_envelope(messages::command_kind, as_bytes(text), std::span(&*key, 1));
}

}  // namespace outcrop::fleet
