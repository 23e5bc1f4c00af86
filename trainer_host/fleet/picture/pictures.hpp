#pragma once

#include <utility>  // before Asio

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include "trainer_host/fleet/picture/compare.hpp"
#include "trainer_host/fleet/picture/hosts_own.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// What a board drew last, beside the host's own of the same seed.
struct ShownPicture {
  KeptPicture kept;
  std::shared_ptr<const HostsOwn> own;  // null: `own_missing` says why, where something was drawn
  std::string own_missing;
  std::optional<Comparison> comparison;

  [[nodiscard]] const messages::Picture::Drawn* drawn() const {
    return kept.picture && kept.picture->drawn ? &*kept.picture->drawn : nullptr;
  }
  // What came of it, a sentence or two; "" where it never answered.
  [[nodiscard]] std::string words() const;
};

enum class PictureView { board, host, difference, all };
[[nodiscard]] Result<PictureView> picture_view_from(const std::string& word);

// A PNG. Both are drawn from the least to the largest value of the host's own, from black to white, so that they can be held
// beside each other; without one of the host's, from the least to the largest of what was drawn. In the difference what is
// equal is gray, and what is most off black or white. not_found where there is none.
[[nodiscard]] Result<std::string> png_of(const ShownPicture& shown, PictureView view);

// Pictures as the registry has them, beside the host's own, of which the latest few are kept. For one thread, that of its
// registry, which may be one that only reads.
class Pictures {
 public:
  using ReadOwn = std::function<Result<HostsOwn>(const trust::Sha256Digest& manifest)>;  // on the worker
  Pictures(Registry& registry, boost::asio::thread_pool& worker, ReadOwn read)
      : registry_(&registry), worker_(&worker), read_(std::move(read)) {}

  // None where the board was not asked for any.
  [[nodiscard]] boost::asio::awaitable<Result<std::optional<ShownPicture>>> of(std::string device);
  // Of this release, what boards drew, and did not say why they did not.
  [[nodiscard]] boost::asio::awaitable<Result<std::vector<ShownPicture>>> drawn_by(trust::Sha256Digest manifest,
                                                                                   std::size_t limit);

 private:
  [[nodiscard]] boost::asio::awaitable<void> put_beside(ShownPicture& shown);

  Registry* registry_;
  boost::asio::thread_pool* worker_;
  ReadOwn read_;
  std::map<trust::Sha256Digest, std::shared_ptr<const HostsOwn>> owns_;
};

}  // namespace outcrop::fleet
