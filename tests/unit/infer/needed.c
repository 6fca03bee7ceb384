__attribute__((visibility("default"))) int hs_test_needed(void);

int hs_test_needed(void)
{
    return 1;
}
