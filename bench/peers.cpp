// The contenders that are programs of their own, one for each language or runtime, run as a child process for each measurement.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bench.hpp"
#include "run.hpp"

namespace bench {
namespace {

const std::string own_program = TURNKEY_PEERS_DIR "/turnkey_peer";
const std::string go_program = TURNKEY_PEERS_DIR "/go_peer";
const std::string rust_program = TURNKEY_PEERS_DIR "/rust_peer";
const std::string boost_program = TURNKEY_PEERS_DIR "/boost_peer";

// Without this malloc gives a fiber's stack back when the fiber ends, and the next one pays for its pages again, which makes
// Boost.Fiber three to four times slower.
const std::string boost_environment =
    "GLIBC_TUNABLES=glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=67108864:"
    "glibc.malloc.mmap_threshold=1073741824";

bool is_there(const std::string& program) { return access(program.c_str(), X_OK) == 0; }

nlohmann::json ask(const std::string& program, const std::string& arguments, const std::string& environment = "") {
  const std::string command = environment + " exec '" + program + "' " + arguments;
  const auto close = [](FILE* stream) { pclose(stream); };
  const std::unique_ptr<FILE, decltype(close)> answer(popen(command.c_str(), "re"), close);
  if (!answer) throw std::runtime_error("cannot run " + command);
  std::string text;
  std::array<char, 1024> piece{};
  while (std::fgets(piece.data(), piece.size(), answer.get()) != nullptr) text += piece.data();
  auto parsed = nlohmann::json::parse(text, nullptr, false);
  if (parsed.is_discarded()) throw std::runtime_error(command + " printed: " + text);
  return parsed;
}

contender peer(contender one, const std::string& program, const std::string& workload,
               const std::vector<std::int64_t>& parameters, const std::string& environment = "") {
  if (!is_there(program)) return one;
  std::string arguments = workload;
  for (const std::int64_t parameter : parameters) arguments += " " + std::to_string(parameter);
  one.measure = [program, arguments, environment] {
    const nlohmann::json line = ask(program, arguments, environment);
    return sample{line.at("value"), line.at("figures").get<std::vector<double>>()};
  };
  return one;
}

}  // namespace

contender own_peer(const std::string& name, const std::string& workload, const std::vector<std::int64_t>& parameters,
                   const own_process& how) {
  return peer({name, how.from, nullptr}, own_program, workload, parameters, how.environment);
}

contender go_peer(const std::string& name, const std::string& workload, const std::vector<std::int64_t>& parameters) {
  return peer({name + " (Go)", side::go, nullptr}, go_program, workload, parameters);
}

contender rust_peer(const std::string& name, const std::string& workload, const std::vector<std::int64_t>& parameters) {
  return peer({name + " (Rust)", side::other, nullptr}, rust_program, workload, parameters);
}

contender boost_peer(const std::string& name, const std::string& workload,
                     const std::vector<std::int64_t>& parameters) {
  return peer({name, side::other, nullptr}, boost_program, workload, parameters, boost_environment);
}

void add_boost_peers(benchmark& to, const std::string& workload, std::vector<std::int64_t> parameters) {
  const int procs = current_settings().procs;
  parameters.push_back(1);
  to.contenders.push_back(boost_peer("Boost.Fiber, 1 worker", workload, parameters));
  if (procs == 1) return;
  parameters.back() = procs;
  std::int64_t& count = parameters[parameters.size() - 2];
  count = std::max<std::int64_t>(1, count / 5);
  to.contenders.push_back(boost_peer("Boost.Fiber, " + std::to_string(procs) + " workers", workload, parameters));
}

std::vector<std::string> peer_versions() {
  std::vector<std::string> all;
  for (const std::string* program : {&go_program, &rust_program, &boost_program}) {
    if (!is_there(*program)) continue;
    const nlohmann::json answer = ask(*program, "version");
    for (const auto& each : answer.at("versions")) all.push_back(each.get<std::string>());
  }
  return all;
}

}  // namespace bench
