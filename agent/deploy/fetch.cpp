#include "agent/deploy/fetch.hpp"

#include <algorithm>
#include <memory>

#include "protocol/blob/chunk_table.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;

std::vector<messages::BlobReference> needed_blobs(const messages::Manifest& manifest,
                                                  const std::vector<std::string>& variants) {
  std::vector<messages::BlobReference> needed;
  const auto add = [&](const messages::BlobReference& reference) {
    if (std::find(needed.begin(), needed.end(), reference) == needed.end()) {
      needed.push_back(reference);
    }
  };
  add(manifest.golden.input);
  add(manifest.golden.output);
  for (const std::string& name : variants) {
    if (const messages::Variant* variant = manifest.variant(name)) add(variant->blob);
  }
  return needed;
}

ByteCount room_wanted(const Slots& slots, const std::vector<messages::BlobReference>& needed) {
  std::uint64_t wanted = 0;
  for (const messages::BlobReference& reference : needed) {
    if (slots.has(reference.sha256)) continue;
    const std::uint64_t size = reference.size.value();
    wanted += size - std::min(size, slots.partial_size(reference.sha256).value());
  }
  return ByteCount(wanted);
}

std::vector<trust::Sha256Digest> all_digests(const trust::Sha256Digest& digest,
                                             const messages::Manifest& manifest) {
  std::vector<trust::Sha256Digest> digests{digest};
  const auto add = [&](const messages::BlobReference& reference) {
    digests.push_back(reference.sha256);
    digests.push_back(reference.chunk_table);
  };
  add(manifest.golden.input);
  add(manifest.golden.output);
  for (const messages::Variant& variant : manifest.variants) add(variant.blob);
  return digests;
}

asio::awaitable<Result<trust::VerifiedBlob>> Fetcher::keep(StagedBlob staged, std::stop_token stop) {
  // On the heap: the coroutine may be gone before the worker is done.
  struct Shared {
    StagedBlob staged;
    Result<trust::VerifiedBlob> kept = fail(ErrorCode::internal, "not verified");
  };
  auto shared = std::make_shared<Shared>(Shared{std::move(staged)});
  std::function<void()> job = [shared, slots = &slots_] {
    shared->kept = slots->keep(std::move(shared->staged));
  };
  co_await worker_.run(std::move(job), std::move(stop));
  co_return std::move(shared->kept);
}

asio::awaitable<Result<trust::VerifiedBlob>> Fetcher::small(trust::Sha256Digest digest,
                                                            ByteCount size,
                                                            Puller::Budget& budget,
                                                            std::stop_token stop) {
  if (slots_.has(digest)) {
    auto kept = slots_.blob(digest, size);
    if (kept) co_return kept;  // else it was damaged and is gone: pulled anew
  }
  std::filesystem::path partial = slots_.partial_file(digest);
  auto staged = co_await puller_.pull_small(digest, size, std::move(partial), budget, stop);
  if (!staged) co_return fail(std::move(staged).error());
  auto kept = co_await keep(std::move(*staged), std::move(stop));
  co_return kept;
}

asio::awaitable<Result<messages::Manifest>> Fetcher::manifest(trust::Sha256Digest digest,
                                                              ByteCount size,
                                                              Puller::Budget& budget,
                                                              std::stop_token stop) {
  if (size > messages::manifest_limit) {
    co_return fail(ErrorCode::invalid_data, "a manifest of " + size.human());
  }
  auto blob = co_await small(digest, size, budget, std::move(stop));
  if (!blob) co_return fail(blob.error().context("manifest"));
  co_return messages::parse_manifest(*blob);
}

asio::awaitable<Status> Fetcher::blob(const messages::BlobReference& reference,
                                      Puller::Budget& budget, Puller::Progress progress,
                                      std::stop_token stop) {
  if (slots_.has(reference.sha256)) co_return Status();
  auto table_blob = co_await small(reference.chunk_table, blob::table_size(reference.size), budget, stop);
  if (!table_blob) co_return fail(table_blob.error().context("chunk table"));
  auto table = blob::decode_chunk_table(*table_blob, reference.sha256, reference.size);
  if (!table) co_return fail(std::move(table).error());
  std::filesystem::path partial = slots_.partial_file(reference.sha256);
  auto staged = co_await puller_.pull(*table, std::move(partial), budget, std::move(progress), stop);
  if (!staged) co_return fail(std::move(staged).error());
  auto kept = co_await keep(std::move(*staged), std::move(stop));
  if (!kept) co_return fail(std::move(kept).error());
  co_return Status();
}

asio::awaitable<Status> Fetcher::blobs(const messages::Manifest& manifest,
                                       const std::vector<std::string>& variants,
                                       Puller::Budget& budget, Puller::Progress progress,
                                       std::stop_token stop) {
  const std::vector<messages::BlobReference> needed = needed_blobs(manifest, variants);
  std::uint64_t total = 0;
  std::uint64_t missing = 0;
  for (const messages::BlobReference& reference : needed) {
    total += reference.size.value();
    if (!slots_.has(reference.sha256)) missing += reference.size.value();
  }
  if (auto room = slots_.reserve(room_wanted(slots_, needed)); !room) co_return room;
  std::uint64_t done = total - missing;
  if (auto goes_on = progress(ByteCount(done), ByteCount(total)); !goes_on) co_return goes_on;
  for (const messages::BlobReference& reference : needed) {
    const bool here = slots_.has(reference.sha256);
    Puller::Progress part = [&](ByteCount of_this, ByteCount) {
      return progress(ByteCount(done + of_this.value()), ByteCount(total));
    };
    auto fetched = co_await blob(reference, budget, std::move(part), stop);
    if (!fetched) co_return fetched;
    if (!here) done += reference.size.value();
    // Also where the last chunk was the one to end it: what comes next is another blob.
    if (auto goes_on = progress(ByteCount(done), ByteCount(total)); !goes_on) co_return goes_on;
  }
  co_return Status();
}

}  // namespace outcrop::agent
