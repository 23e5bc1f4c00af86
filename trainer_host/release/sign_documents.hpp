#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/signing_key.hpp"
#include "trainer_host/release/signing_request.hpp"

namespace outcrop::release {

// The way of every document of a key folder: written, signed by the keys at hand, and put in place once the roles'
// thresholds are met. Until then they wait in <keys>/request.json (a model's list in stages/<model>/request.json),
// one request at a time, for signatures that are made elsewhere.

struct NextDocuments {
  std::optional<trust::RootMetadata> root;
  std::optional<trust::TargetsMetadata> targets;
  std::optional<trust::RevokedMetadata> revoked;
};

[[nodiscard]] std::filesystem::path request_file(const std::filesystem::path& keys);
[[nodiscard]] std::filesystem::path stage_request_file(const KeyStorePaths& paths, std::string_view model);

// To be called before a folder is read to be changed: finishes what was cut off when all had signed. refused where
// a request waits for signatures.
[[nodiscard]] Status take_up_request(const std::filesystem::path& keys);

// The keys of offline/ that `store` names for the role. untrusted where one of them is another key; not_found, with
// what to do, where none is here and `missing` refuses.
[[nodiscard]] Result<std::vector<SigningKey>> keys_at_hand(const KeyStorePaths& paths, const KeyStoreTrust& store,
                                                           const std::string& role, Missing missing);

// Signs by `keys`, each what is asked of it, and puts in place. Where signatures are missing: refused, and nothing
// has changed; or, by Missing::request, they wait.
[[nodiscard]] Status sign_documents(const KeyStorePaths& paths, const KeyStoreTrust& store, const NextDocuments& next,
                                    const std::vector<SigningKey>& keys, Missing missing);

// The same of documents that name new keys, which wait beside those that they replace (settle.hpp): where nothing comes of
// it, and nothing waits for signatures, they go.
[[nodiscard]] Status sign_documents_of_new_keys(const KeyStorePaths& paths, const KeyStoreTrust& store,
                                                const NextDocuments& next, const std::vector<SigningKey>& keys,
                                                Missing missing);

// Signs a model's list and puts it in place; nothing where it waits for further signatures now. refused where one
// waits already.
[[nodiscard]] Result<std::optional<std::string>> sign_list(const KeyStorePaths& paths, const KeyStoreTrust& store,
                                                           const trust::StageMetadata& list, const SigningKey& key);

// refused, with what to do, where a list of the model waits for signatures.
[[nodiscard]] Status no_list_waits(const KeyStorePaths& paths, std::string_view model);

struct SignedCopy {
  std::string name;  // for messages: its file
  SigningRequest request;
};

// Adds what the copies bring to the request that waits, and puts the documents in place where that is all. Returns what was
// left aside, a sentence with the copy's name each: what brings nothing, or is not to be trusted, keeps the others from
// nothing. Errors: not_found where nothing waits; those of SigningRequest::join() where no copy is of use; refused where
// signatures are still missing.
[[nodiscard]] Result<std::vector<std::string>> join_request(const std::filesystem::path& keys, const std::optional<std::string>& model,
                                                            const std::vector<SignedCopy>& copies);

// The command that joins a request, or a copy of it, that lies there, to be pasted.
[[nodiscard]] std::string how_to_join(const std::filesystem::path& file);

// Removes a request, as if it had never been. not_found where nothing waits.
[[nodiscard]] Status drop_request(const std::filesystem::path& keys, const std::optional<std::string>& model);

// A sentence for each that waits in the folder, what is missing and what to do.
[[nodiscard]] std::vector<std::string> waiting_requests(const std::filesystem::path& keys);

[[nodiscard]] Result<SigningRequest> read_request(const std::filesystem::path& file);

}  // namespace outcrop::release
