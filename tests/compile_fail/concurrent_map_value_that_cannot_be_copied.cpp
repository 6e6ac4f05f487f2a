// expect: load\(\) copies V out, so V must be copyable
#include <memory>

#include <turnkey/concurrent_map.hpp>

#ifdef CONTROL
turnkey::concurrent_map<int, std::shared_ptr<int>> map;
#else
turnkey::concurrent_map<int, std::unique_ptr<int>> map;
#endif
