__attribute__((visibility("default"))) int hs_test_dependency(void);

int hs_test_dependency(void)
{
    return 1;
}
