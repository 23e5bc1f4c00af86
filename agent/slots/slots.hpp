#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/trust/verified_blob.hpp"

namespace outcrop::agent {

// A blob that has arrived and lies on the disk, not yet verified as a whole: what pull yields and
// what only verify() may turn into a VerifiedBlob.
class StagedBlob {
 public:
  StagedBlob(std::filesystem::path file, trust::Sha256Digest digest, ByteCount size)
      : file_(std::move(file)), digest_(digest), size_(size) {}
  [[nodiscard]] const std::filesystem::path& file() const { return file_; }
  [[nodiscard]] const trust::Sha256Digest& digest() const { return digest_; }
  [[nodiscard]] ByteCount size() const { return size_; }

 private:
  std::filesystem::path file_;
  trust::Sha256Digest digest_;
  ByteCount size_;
};

// A release and the variant of it that serves, or served.
struct Installed {
  trust::Sha256Digest manifest;
  ByteCount manifest_size;
  std::string variant;
  bool operator==(const Installed&) const = default;
};

inline constexpr std::size_t most_kept = 16;  // in the file; the configuration says how many
inline constexpr std::chrono::days kept_for{7};

// Releases besides the active one: at most so many, and so many bytes of the disk that the active one does not share; 0: as
// many as there is room for. The one before the active one stays whatever it takes.
struct WaysBack {
  std::size_t releases = 3;
  ByteCount bytes{};
};

// One that neither serves nor is the one before.
struct KeptRelease {
  Installed release;
  Timestamp until;    // of one that is no way back
  bool good = false;  // a newer one took its place, nobody took it back: the board returns to it by itself
  bool operator==(const KeptRelease&) const = default;
};

// Which releases are on this board. What somebody must not lose is written down with the record of
// deployments, as a whole (deploy/ledger.hpp).
struct SlotTable {
  std::optional<Installed> active;    // it serves
  std::optional<Installed> previous;  // the one to return to
  std::vector<KeptRelease> kept;      // what left last comes first
  // Nobody knows any more what served: what lies here may be all that is left of it.
  bool forgotten = false;
  bool operator==(const SlotTable&) const = default;
};

// The releases on this board: <state>/releases/
//   blobs/<sha256>        blobs by digest, manifests too; variants share what they share
//   blobs/<sha256>.part   a transfer that is not complete
// Blobs are named by no more than a digest; they become VerifiedBlobs each time they are used.
// Releases that are neither active nor previous any more stay, the last of them, so that no command makes a board
// pull again what it had: those that were taken back for a week, the others for as long as there is room, for they are
// ways back.
class Slots {
 public:
  // Makes the folder where there is none and the disk takes it.
  [[nodiscard]] static Slots open(const std::filesystem::path& folder, ByteCount disk_reserve,
                                  SlotTable table = {}, WaysBack ways_back = {});

  [[nodiscard]] const SlotTable& table() const { return table_; }
  [[nodiscard]] const std::optional<Installed>& active() const { return table_.active; }
  [[nodiscard]] const std::optional<Installed>& previous() const { return table_.previous; }
  // Active, previous, and what is kept besides: all that may be returned to without a transfer.
  [[nodiscard]] std::vector<Installed> installed() const;
  // The active release, unless it is known that it cannot be used: then nothing serves.
  [[nodiscard]] std::optional<Installed> serving() const;

  // What is wrong with the folder since it was opened.
  [[nodiscard]] const std::optional<std::string>& trouble() const { return trouble_; }

  // How a release that is installed here was found when it was looked at last. Only what was read
  // and is not what it should be is damaged; `unread` is what nobody could read just then, or what
  // only a newer agent can.
  enum class Lies { whole, damaged, unread };
  [[nodiscard]] static Lies judge(const Status& looked_at);
  void found(const Installed& release, Lies lies);
  [[nodiscard]] Lies lies(const Installed& release) const;
  [[nodiscard]] bool damaged(const Installed& release) const {
    return lies(release) == Lies::damaged;
  }

  [[nodiscard]] bool has(const trust::Sha256Digest& blob) const;
  [[nodiscard]] std::filesystem::path partial_file(const trust::Sha256Digest& blob) const;
  // What a transfer that was cut off occupies on the disk already.
  [[nodiscard]] ByteCount partial_size(const trust::Sha256Digest& blob) const;
  // no_space, saying how much is free and how much is wanted, where `bytes` more would eat the
  // reserve. Never removes anything.
  [[nodiscard]] Status reserve(ByteCount bytes) const;

  // Verifies what has arrived, syncs it and keeps it under its digest; a staged file that is not
  // what it should be is removed.
  [[nodiscard]] Result<trust::VerifiedBlob> keep(StagedBlob blob);
  // A blob that was kept: hashed again into sealed memory. A damaged one is removed (untrusted), so
  // that the next deployment pulls it anew.
  [[nodiscard]] Result<trust::VerifiedBlob> blob(const trust::Sha256Digest& digest, ByteCount size);
  [[nodiscard]] Result<messages::Manifest> manifest(const trust::Sha256Digest& digest,
                                                    ByteCount size);

  // Each of these three does nothing where it was done before, and fails with not_found where the
  // manifest is not here. Who calls them writes the table down.
  // The release serves from now on, be it new or the previous one; what served before is the one to
  // return to.
  [[nodiscard]] Status activate(const Installed& release);
  // Whether what serves was committed, or on trial alone: then it is not kept when it leaves, for what lies here may be
  // returned to without another trial.
  enum class Leaving { committed, on_trial };
  // Back to the previous release, or to nothing. The last good one of those that are kept is the previous one then.
  [[nodiscard]] Status roll_back(Leaving leaving = Leaving::committed);
  // To a release that was committed before and still lies here, or (nullopt) to nothing.
  [[nodiscard]] Status return_to(const std::optional<Installed>& release, Leaving leaving = Leaving::committed);

  // Removes blobs, whole or partial, that neither what is installed() nor `also` (the deployment at
  // work) names: the digests in it, and what those among them name that are manifests. Removes
  // nothing at all where the manifest of active or previous cannot be read, or they are forgotten().
  [[nodiscard]] Status collect_garbage(const std::vector<trust::Sha256Digest>& also);
  // The same where the disk is too full for `bytes` more: of what is kept besides active and previous the oldest
  // goes first, and no more than must, but one.
  [[nodiscard]] Status make_room(const std::vector<trust::Sha256Digest>& also, ByteCount bytes);

 private:
  Slots(std::filesystem::path folder, ByteCount reserve, SlotTable table, WaysBack ways_back);
  [[nodiscard]] std::optional<Installed> next_way_back() const;
  // What is to serve must be there.
  Status change(std::optional<Installed> active, std::optional<Installed> previous,
                Leaving leaving = Leaving::committed);
  void keep_what_leaves(const std::optional<Installed>& active,
                        const std::optional<Installed>& previous, Leaving leaving);
  void keep_within_bytes(const std::optional<Installed>& active, const std::optional<Installed>& previous,
                         std::vector<KeptRelease>& kept) const;

  std::filesystem::path folder_;
  ByteCount reserve_;
  SlotTable table_;
  WaysBack ways_back_;
  std::vector<std::pair<Installed, Lies>> found_;  // what is not whole
  std::optional<std::string> trouble_;
};

}  // namespace outcrop::agent
