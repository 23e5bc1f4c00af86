#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/verify/metadata_store.hpp"
#include "protocol/trust/trusted_roles.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {

constexpr Timestamp start{std::chrono::seconds(1'800'000'000)};

// Time as a test sets it.
class SetClock final : public Clock {
 public:
  [[nodiscard]] Timestamp now() const override { return time; }
  Timestamp time = start;
};

// A host with real keys, and a board that hears of it what the test lets through.
class MetadataTest : public ::testing::Test {
 protected:
  MetadataTest() {
    root_.version = 1;
    root_.expires = start + std::chrono::days(1000);
    for (const char* role : {"root", "targets", "revoked", "snapshot", "timestamp"}) rekey(role);
    root_text_ = sign_root({"root"});
    targets_.expires = revoked_.expires = stage_.expires = start + std::chrono::days(300);
    snapshot_.expires = start + std::chrono::days(30);
    stage_.model = "curvefault";
    delegate(key("stage"));
    stage_.releases = {{trust::sha256("release 1"), ByteCount(9), 1, 20}};
  }

  trust::PrivateKey& key(const std::string& role) {
    const auto found = keys_.find(role);
    if (found != keys_.end()) return found->second;
    return keys_.emplace(role, *trust::PrivateKey::generate()).first->second;
  }

  // A new key for the role in the root at work.
  void rekey(const std::string& role) {
    keys_.erase(role);
    const trust::PublicKey& now = key(role).public_key();
    root_.keys[now.id()] = now;
    root_.roles[role] = {{now.id()}, 1};
  }
  std::string sign_root(const std::vector<std::string>& signers) {
    std::vector<trust::PrivateKey> by;
    for (const std::string& signer : signers) by.push_back(key(signer));
    return trust::sign_envelope("root", as_bytes(to_json(root_)), by);
  }
  // The next root, with new keys for these roles; returns its envelope.
  std::string next_root(const std::vector<std::string>& roles) {
    ++root_.version;
    const trust::PrivateKey before = key("root");
    for (const std::string& role : roles) rekey(role);
    const std::vector<trust::PrivateKey> by{before, key("root")};
    const bool same = before.public_key() == key("root").public_key();
    return trust::sign_envelope("root", as_bytes(to_json(root_)),
                                std::span(by).first(same ? 1 : 2));
  }
  void delegate(const trust::PrivateKey& stage_key) {
    const trust::PublicKey& now = stage_key.public_key();
    targets_.keys = {{now.id(), now}};
    targets_.delegations = {{"curvefault", {{now.id()}, 1}}};
  }

  template <class Role>
  std::string sign(const Role& role, const std::string& key_name) {
    return trust::sign_envelope(Role::kind, as_bytes(to_json(role)), std::vector{key(key_name)});
  }

  // What a host retains; each call signs what the documents say now.
  using Messages = std::vector<std::pair<std::string, std::string>>;
  Messages documents() {
    const Messages offline{{"targets", sign(targets_, "targets")},
                           {"revoked", sign(revoked_, "revoked")},
                           {"stage-curvefault", sign(stage_, "stage")}};
    snapshot_.versions = {{"targets", targets_.version},
                          {"revoked", revoked_.version},
                          {"stage-curvefault", stage_.version}};
    const std::string snapshot = sign(snapshot_, "snapshot");
    timestamp_.issued = clock_.time;
    timestamp_.expires = clock_.time + std::chrono::days(7);
    timestamp_.snapshot_version = snapshot_.version;
    timestamp_.snapshot = trust::sha256(snapshot);
    timestamp_.snapshot_size = ByteCount(snapshot.size());
    Messages all = offline;
    all.emplace_back("snapshot", snapshot);
    all.emplace_back("timestamp", sign(timestamp_, "timestamp"));
    return all;
  }
  // A new release, signed on all levels that it needs.
  void release(const std::string& name) {
    stage_.releases.push_back({trust::sha256(name), ByteCount(9), stage_.version + 1, 20});
    ++stage_.version;
    ++snapshot_.version;
    ++timestamp_.version;
  }

  Result<MetadataStore> try_open() {
    return MetadataStore::open(folder_, root_text_, "curvefault", clock_,
                               [this] { return synchronised_; });
  }
  MetadataStore open() {
    auto store = try_open();
    EXPECT_THAT(store, IsOk());
    return std::move(*store);
  }
  static bool accept_all(MetadataStore& store, const Messages& messages) {
    bool changed = false;
    for (const auto& [role, envelope] : messages) {
      const auto result = store.accept(role, envelope);
      EXPECT_TRUE(result.has_value()) << role << ": " << (result ? "" : result.error().message());
      changed = changed || result.value_or(false);
    }
    return changed;
  }
  static trust::Sha256Digest manifest(const std::string& name) { return trust::sha256(name); }

  TemporaryFolder temporary_;
  std::filesystem::path folder_ = temporary_.path() / "metadata";
  SetClock clock_;
  bool synchronised_ = true;
  std::map<std::string, trust::PrivateKey> keys_;
  trust::RootMetadata root_;
  std::string root_text_;  // pinned
  trust::TargetsMetadata targets_;
  trust::RevokedMetadata revoked_;
  trust::StageMetadata stage_;
  trust::SnapshotMetadata snapshot_;
  trust::TimestampMetadata timestamp_;
};

}  // namespace outcrop::agent
