#include "trainer_host/cli/publish.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <set>
#include <vector>

#include "platform/console/progress_bar.hpp"
#include "platform/http/client.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/counted.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/blob/chunk_table.hpp"
#include "trainer_host/cli/human.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/stage_store.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t piece_size = std::uint64_t{8} << 20;

// A file of blobs/, and how much of it outcropd has.
struct Upload {
  std::string digest;
  std::string what;
  std::uint64_t size = 0;
  std::uint64_t done = 0;
};

Result<std::vector<Upload>> list_files(const release::VerifiedRelease& release) {
  std::vector<Upload> files;
  std::set<std::string> listed;
  const auto add = [&](const trust::Sha256Digest& digest, std::string what, std::uint64_t size) {
    if (listed.insert(digest.hex()).second) files.push_back({digest.hex(), std::move(what), size});
  };
  for (const release::NamedBlob& named : release::blobs_of(release.manifest())) {
    add(named.blob.sha256, named.what, named.blob.size.value());
    add(named.blob.chunk_table, named.what + ", chunk table",
        blob::table_size(named.blob.size).value());
  }
  std::error_code error;
  const fs::path manifest = release.folder() / "blobs" / release.manifest_digest().hex();
  const std::uintmax_t size = fs::file_size(manifest, error);
  if (error) return fail(ErrorCode::io, manifest.string() + ": " + error.message());
  add(release.manifest_digest(), "manifest", size);
  return files;
}

Status ask_progress(const HostConnection& host, std::vector<Upload>& files) {
  for (Upload& file : files) {
    OUTCROP_TRY(answer, host.get("/v1/blobs/" + file.digest));
    OUTCROP_CHECK(reading_answers([&]() -> Status {
      file.done =
          answer.at("have").get<bool>() ? file.size : answer.at("bytes").get<std::uint64_t>();
      if (file.done > file.size) file.done = 0;  // what is there is no part of this blob
      return {};
    }));
  }
  return {};
}

// Piece by piece from where outcropd is.
Status upload(const HostConnection& host, const fs::path& blobs, const Upload& file,
              const std::function<void(std::uint64_t sent)>& progress) {
  const fs::path path = blobs / file.digest;
  std::ifstream stream(path, std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(file.done));
  for (std::uint64_t offset = file.done; offset < file.size;) {
    std::string piece(std::min(piece_size, file.size - offset), '\0');
    if (!stream.read(piece.data(), static_cast<std::streamsize>(piece.size()))) {
      return fail(ErrorCode::io,
                  path.string() + " ended before its " + std::to_string(file.size) + " bytes");
    }
    const std::uint64_t sent = piece.size();
    const std::string target = "/v1/blobs/" + file.digest + "?size=" + std::to_string(file.size) +
                               "&offset=" + std::to_string(offset);
    auto answer = host.put(target, std::move(piece));
    if (!answer) return fail(answer.error().context("uploading " + file.what));
    offset += sent;
    progress(sent);
  }
  return {};
}

Status upload_all(const HostConnection& host, const fs::path& blobs,
                  const std::vector<Upload>& files) {
  constexpr std::uint64_t kilobyte = 1000;
  std::uint64_t total = 0;
  for (const Upload& file : files) total += file.size - std::min(file.done, file.size);
  if (total == 0) return {};
  ProgressBar bar("uploading", std::max<std::uint64_t>(total / kilobyte, 1), "kB");
  std::uint64_t sent = 0;
  for (const Upload& file : files) {
    OUTCROP_CHECK(upload(host, blobs, file, [&](std::uint64_t bytes) {
      sent += bytes;
      bar.update(sent / kilobyte, file.what);
    }));
  }
  bar.update(total / kilobyte);
  bar.finish();
  return {};
}

// Every root from the first to `newest`, from the first of the folders that has it.
Result<Json> root_chain(const std::vector<fs::path>& folders, std::uint64_t newest) {
  Json roots = Json::array();
  for (std::uint64_t n = 1; n <= newest; ++n) {
    std::error_code error;
    fs::path file = folders.front() / release::root_file_name(n);
    if (!fs::exists(file, error)) file = folders.back() / release::root_file_name(n);
    OUTCROP_TRY(envelope, read_text_file(file, trust::envelope_limit));
    roots.push_back(std::move(envelope));
  }
  return roots;
}

// What outcropd gets. Where the key folder has signed a newer list since, that one: an older would
// be refused, and a release that is no longer in it is not to be published.
Result<Json> metadata_of(const release::VerifiedRelease& release, const TrustOptions& options) {
  const std::string& model = release.manifest().model;
  Json body{{"targets", release.targets().envelope()},
            {"revoked", release.revoked().envelope()},
            {"stage", release.stage().envelope()},
            {"manifest", release.manifest_digest().hex()}};
  std::vector<fs::path> folders{release.folder() / "metadata"};
  if (options.root.empty()) {
    const fs::path keys = key_folder(options);
    OUTCROP_TRY(store, release::read_key_store(keys));
    folders.push_back(release::KeyStorePaths(keys).metadata());
    auto list = release::read_signed_list(keys, model, store);
    // Without the trainer's part of the folder, or the right to read it, the release's list counts.
    if (list && *list && (*list)->metadata->version > release.stage()->version) {
      if ((*list)->metadata->release(release.manifest_digest()) == nullptr) {
        return fail(ErrorCode::refused, "this release was withdrawn: the newest list that " +
                                            keys.string() + " signed does not hold it");
      }
      body["stage"] = (*list)->envelope;
    }
    if (store.targets->version > release.targets()->version) {
      body["targets"] = store.targets.envelope();
    }
  }
  OUTCROP_TRY(roots, root_chain(folders, release.root()->version));
  body["roots"] = std::move(roots);
  return body;
}

struct Boards {
  std::size_t all = 0;      // of the model, enrolled
  std::size_t serving = 0;  // ... that said this release serves
};

Result<Boards> count_boards(const HostConnection& host, const std::string& model,
                            const std::string& manifest) {
  OUTCROP_TRY(answer, host.get_all("/v1/devices", "devices", "model=" + http::encode(model)));
  Boards boards;
  OUTCROP_CHECK(reading_answers([&]() -> Status {
    for (const Json& device : answer.at("devices")) {
      if (!device.at("revoked").is_null() || device.at("model") != model) continue;
      ++boards.all;
      const Json& status = device.at("status");
      if (!status.is_null() && status.at("active").at("manifest") == manifest) ++boards.serving;
    }
    return {};
  }));
  return boards;
}

void print_published(const release::VerifiedRelease& release, const Boards& boards) {
  const std::string digest = release.manifest_digest().hex();
  std::printf("Published stage %llu of %s, manifest %s. ",
              static_cast<unsigned long long>(release.manifest().stage),
              release.manifest().model.c_str(), digest.c_str());
  if (boards.serving > 0 && boards.serving == boards.all) {
    std::printf("%s of the model %s it.\n", counted(boards.all, "board").c_str(), boards.all == 1 ? "runs" : "run");
    return;
  }
  if (boards.serving == 0) {
    std::printf("No board runs it yet:\n");
  } else {
    std::printf("%zu of %s of the model %s it; for the others:\n", boards.serving,
                counted(boards.all, "board").c_str(), boards.serving == 1 ? "runs" : "run");
  }
  std::printf("  outcrop rollout start --release %s --canary 1\n", short_digest(digest).c_str());
}

// Its newest list is older than the one that boards have seen.
Status sign_list_above(const fs::path& keys, const std::string& model, std::uint64_t seen,
                       const release::KeyStoreTrust& trust) {
  auto list = release::read_signed_list(keys, model, trust);
  if (!list || !*list || (*list)->metadata->version >= seen) return {};  // what is wrong with it is said elsewhere
  const std::string role = trust::stage_role(model);
  const std::string shows = "boards have seen version " + std::to_string(seen) + " of " + role + " and take none below, " +
                            keys.string() + " signed version " + std::to_string((*list)->metadata->version);
  const auto sign = [&]() -> Result<std::uint64_t> {
    OUTCROP_TRY(store, release::StageStore::open(keys, model, trust));
    return store.sign_above(seen, std::chrono::days(365), SystemClock().now(), trust);
  };
  const auto version = sign();
  if (!version) {
    return fail(ErrorCode::refused, shows + ": it is to be signed anew where the stage key is, and cannot be here: " +
                                        version.error().message());
  }
  std::fprintf(stderr,
               "outcrop: %s: signed it anew as version %llu. Where no backup of these keys came back, another copy of "
               "them signed, or a thief: docs/security.md\n",
               shows.c_str(), static_cast<unsigned long long>(*version));
  return {};
}

}  // namespace

Result<release::VerifiedRelease> open_whole(const fs::path& folder, const TrustOptions& trust) {
  OUTCROP_TRY(anchor, read_trust(trust));
  OUTCROP_TRY(release, release::open_release(folder, anchor.root, SystemClock(), {anchor.revoked}));
  for (const release::Check& check : release::check_blobs(release)) {
    if (!check.status) return fail(check.status.error().context(folder.string() + ", " + check.what));
  }
  return release;
}

Status run_publish(const PublishOptions& options) {
  OUTCROP_TRY(release, open_whole(options.folder, options.trust));
  const HostConnection host(options.host);
  if (options.trust.root.empty()) {
    OUTCROP_CHECK(sign_above_seen(host, key_folder(options.trust), release.manifest().model));
  }
  OUTCROP_TRY(metadata, metadata_of(release, options.trust));
  OUTCROP_TRY(files, list_files(release));
  OUTCROP_CHECK(ask_progress(host, files));
  OUTCROP_CHECK(upload_all(host, options.folder / "blobs", files));
  OUTCROP_TRY(record, host.post("/v1/releases", metadata));
  if (options.json) {
    std::printf("%s\n", json_text(record, 2).c_str());
    return {};
  }
  OUTCROP_TRY(boards,
              count_boards(host, release.manifest().model, release.manifest_digest().hex()));
  print_published(release, boards);
  return {};
}

Status sign_above_seen(const HostConnection& host, const fs::path& keys,
                       const std::optional<std::string>& only_model) {
  OUTCROP_TRY(answer, host.get("/v1/host"));
  const auto lists = answer.find("lists_seen");
  if (lists == answer.end()) return {};  // an earlier outcropd does not say
  OUTCROP_TRY(trust, release::read_key_store(keys));
  return reading_answers([&]() -> Status {
    for (const auto& [model, seen] : lists->items()) {
      if (only_model && model != *only_model) continue;
      OUTCROP_CHECK(sign_list_above(keys, model, seen.get<std::uint64_t>(), trust));
    }
    return {};
  });
}

Status check_taken(const Json& answer, const fs::path& keys, std::string_view role) {
  const auto left_aside = answer.find("left_aside");
  if (left_aside == answer.end()) return {};  // an earlier outcropd does not say
  std::string words;
  for (const Json& entry : *left_aside) {
    const std::string sentence = entry.is_string() ? entry.get<std::string>() : json_text(entry);
    if (sentence.starts_with(role)) words += (words.empty() ? "" : "; ") + sentence;
  }
  if (words.empty()) return {};
  return fail(ErrorCode::refused,
              words + ": what " + keys.string() +
                  " signed counts for nothing. Where another copy of these keys signed since, go on "
                  "from that one; where none did, a key was stolen: docs/security.md says what to do");
}

Result<Json> key_folder_metadata(const fs::path& keys,
                                 const std::optional<std::string>& only_model) {
  OUTCROP_TRY(store, release::read_key_store(keys));
  Json stages = Json::array();
  for (const trust::Delegation& delegation : store.targets->delegations) {
    if (only_model && delegation.model != *only_model) continue;
    auto list = release::read_signed_list(keys, delegation.model, store);
    if (!list) {
      // A revoked stage key's list counts nowhere: the others are still worth passing on.
      std::fprintf(stderr, "outcrop: left out the releases of '%s': %s\n", delegation.model.c_str(),
                   list.error().message().c_str());
    } else if (*list) {
      stages.push_back((*list)->envelope);
    }
  }
  OUTCROP_TRY(roots, root_chain({release::KeyStorePaths(keys).metadata()}, store.root->version));
  return Json{{"roots", std::move(roots)},
              {"targets", store.targets.envelope()},
              {"revoked", store.revoked.envelope()},
              {"stages", std::move(stages)}};
}

}  // namespace outcrop::cli
