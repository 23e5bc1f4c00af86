#pragma once

#include <utility>  // before Asio

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "agent/wait/worker.hpp"
#include "agent/pull/puller.hpp"
#include "agent/slots/slots.hpp"
#include "protocol/messages/manifest.hpp"

namespace outcrop::agent {

// Brings the blobs of a release onto the board, each verified before it is kept. What lies here
// already is not fetched; what a killed agent had fetched is not fetched again. All throw Cancelled.
class Fetcher {
 public:
  Fetcher(Puller& puller, Slots& slots, Worker& worker)
      : puller_(puller), slots_(slots), worker_(worker) {}

  // The manifest, parsed from verified bytes. Errors: those of Puller and Slots; unsupported where
  // it is too new, invalid_data where it is none.
  [[nodiscard]] boost::asio::awaitable<Result<messages::Manifest>> manifest(
      trust::Sha256Digest digest, ByteCount size, Puller::Budget& budget, std::stop_token stop);

  // The variants' blobs and the goldens, with their chunk tables. `progress` counts blobs that were
  // here as done. Errors as above, and no_space before anything is pulled.
  [[nodiscard]] boost::asio::awaitable<Status> blobs(const messages::Manifest& manifest,
                                                     const std::vector<std::string>& variants,
                                                     Puller::Budget& budget,
                                                     Puller::Progress progress, std::stop_token stop);

 private:
  boost::asio::awaitable<Status> blob(const messages::BlobReference& reference,
                                      Puller::Budget& budget, Puller::Progress progress,
                                      std::stop_token stop);
  boost::asio::awaitable<Result<trust::VerifiedBlob>> small(trust::Sha256Digest digest, ByteCount size,
                                                            Puller::Budget& budget, std::stop_token stop);
  boost::asio::awaitable<Result<trust::VerifiedBlob>> keep(StagedBlob staged, std::stop_token stop);

  Puller& puller_;
  Slots& slots_;
  Worker& worker_;
};

// What a deployment of these variants needs, each blob once.
[[nodiscard]] std::vector<messages::BlobReference> needed_blobs(
    const messages::Manifest& manifest, const std::vector<std::string>& variants);

// What these blobs take of the disk besides what lies here of them, whole or cut off.
[[nodiscard]] ByteCount room_wanted(const Slots& slots,
                                    const std::vector<messages::BlobReference>& needed);

// Every digest of the release that may lie here: manifest, blobs, chunk tables.
[[nodiscard]] std::vector<trust::Sha256Digest> all_digests(const trust::Sha256Digest& digest,
                                                           const messages::Manifest& manifest);

}  // namespace outcrop::agent
